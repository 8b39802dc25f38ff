/* What tools are told of the worker: its service by reflection, and its health. */
#include "worker-internal.h"

#include <tributary/grpc_services.h>

#define SERVICE "org.apache.spark.udf.worker.UdfWorker"

/* From proto/udf_worker.proto. */
static const uint8_t descriptors[] = {
#include <proto/udf_worker.desc.h>
};

int tribi_worker_describe(struct trib_grpc_server *server, struct trib_error *err)
{
    int rc = trib_grpc_server_describe(server, descriptors, sizeof(descriptors), err);

    return rc == TRIB_OK ? trib_grpc_server_set_health(server, SERVICE, TRIB_GRPC_HEALTH_SERVING, err) : rc;
}

/* Both names are known already: nothing can fail. */
void tribi_worker_unwell(struct trib_worker *worker)
{
    worker->unwell = true;
    trib_grpc_server_set_health(worker->server, "", TRIB_GRPC_HEALTH_NOT_SERVING, NULL);
    trib_grpc_server_set_health(worker->server, SERVICE, TRIB_GRPC_HEALTH_NOT_SERVING, NULL);
}
