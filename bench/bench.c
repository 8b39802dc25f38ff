/* What the benchmarks share. */
#include "bench.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* ---- The command line ----------------------------------------------------------------------------------------- */

static const char usage[] = "usage: %s [--rounds N] [--quick] [--only TEXT] [--size BYTES] [--peer COMMAND]\n"
                            "  --rounds N   rounds of each measure, 9 to 101 (default 11)\n"
                            "  --quick      3 rounds of a tenth of the work: shows that it runs, not how fast\n"
                            "  --only TEXT  measures whose name contains TEXT\n"
                            "  --size BYTES messages of this size\n"
                            "  --peer COMMAND  chunks: prints a figure beside which ours is set; then nothing else is measured\n"
                            "  --head       prints the line above the measures, and ends\n";

static void print_head(void)
{
    printf("%-26s %-7s %9s %-8s %9s %-10s %6s  %s\n", "measure", "size", "ours", "unit", "peer's", "peer", "ratio", "goal");
}

static const char *value_of(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc)
        bench_die("%s needs a value", argv[*at]);
    return argv[++*at];
}

static unsigned rounds_of(const char *text)
{
    char *end;
    unsigned long rounds = strtoul(text, &end, 10);

    if (*end != '\0' || rounds < 9 || rounds > BENCH_ROUNDS_MAX)
        bench_die("--rounds %s: not a number from 9 to %d", text, BENCH_ROUNDS_MAX);
    return (unsigned)rounds;
}

void bench_parse(int argc, char **argv, struct bench_options *ret_options)
{
    struct bench_options options = {.rounds = 11};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0) {
            options.rounds = rounds_of(value_of(argc, argv, &i));
        } else if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
        } else if (strcmp(argv[i], "--only") == 0) {
            options.only = value_of(argc, argv, &i);
        } else if (strcmp(argv[i], "--size") == 0) {
            options.size = strtoul(value_of(argc, argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--peer") == 0) {
            options.peer = value_of(argc, argv, &i);
        } else if (strcmp(argv[i], "--head") == 0) {
            print_head();
            exit(0);
        } else if (strcmp(argv[i], "--help") == 0) {
            printf(usage, argv[0]);
            exit(0);
        } else {
            fprintf(stderr, usage, argv[0]);
            bench_die("unknown option %s", argv[i]);
        }
    }
    if (options.quick)
        options.rounds = 3;
    *ret_options = options;
}

bool bench_wanted(const struct bench_options *options, const char *measure)
{
    return options->only == NULL || strstr(measure, options->only) != NULL;
}

/* ---- Machine -------------------------------------------------------------------------------------------------- */

void bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        bench_die("cannot run on CPU %d: two CPUs, 0 and 1, are needed", cpu);
}

int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Disturbance ---------------------------------------------------------------------------------------------- */

static double rusage_seconds(int who)
{
    struct rusage usage_now;

    getrusage(who, &usage_now);
    return (double)(usage_now.ru_utime.tv_sec + usage_now.ru_stime.tv_sec) +
           1e-6 * (double)(usage_now.ru_utime.tv_usec + usage_now.ru_stime.tv_usec);
}

double bench_cpu(void)
{
    return rusage_seconds(RUSAGE_SELF);
}

/* Seconds that all processors together were not idle; 0 where nobody tells. */
static double all_busy(void)
{
    unsigned long long user, nice_user, system_time, idle, waiting, irq, soft_irq, steal;
    FILE *file = fopen("/proc/stat", "r");
    double busy = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice_user, &system_time, &idle, &waiting, &irq, &soft_irq,
               &steal) == 8)
        busy = (double)(user + nice_user + system_time + irq + soft_irq + steal) / (double)sysconf(_SC_CLK_TCK);
    fclose(file);
    return busy;
}

static double others_busy(void)
{
    double all = all_busy();

    return all > 0 ? all - rusage_seconds(RUSAGE_SELF) - rusage_seconds(RUSAGE_CHILDREN) : 0;
}

void bench_watch_begin(struct bench_watch *watch)
{
    watch->others = others_busy();
    watch->begin = 1e-9 * (double)bench_now();
}

bool bench_disturbed(struct bench_watch *watch)
{
    const double allowed = 0.04, grain = 0.02; /* /proc/stat counts in hundredths of a second */
    double seconds = 1e-9 * (double)bench_now() - watch->begin;
    const struct timespec pause = {.tv_nsec = 200000000};

    if (watch->repeats_left == 0 || others_busy() - watch->others <= allowed * seconds + grain)
        return false;
    watch->repeats_left--;
    nanosleep(&pause, NULL);
    return true;
}

/* ---- Figures -------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double bench_median(const double *values, size_t count)
{
    double sorted[BENCH_ROUNDS_MAX];

    if (count > BENCH_ROUNDS_MAX)
        count = BENCH_ROUNDS_MAX;
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_value);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

const char *bench_size_name(size_t size)
{
    static const struct {
        size_t size;
        const char *name;
    } names[] = {{64, "64 B"}, {1024, "1 KiB"}, {4096, "4 KiB"}, {65536, "64 KiB"}, {1 << 20, "1 MiB"}, {16 << 20, "16 MiB"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].size == size)
            return names[i].name;
    return "?";
}

void bench_print(const struct bench_measure *measure)
{
    double ratios[BENCH_ROUNDS_MAX], ours = bench_median(measure->ours, measure->rounds);
    double theirs = bench_median(measure->theirs, measure->rounds), judged = ours;
    bool met = true;
    char goal[32] = "", ratio[32] = "", peer[32] = "";

    for (unsigned i = 0; i < measure->rounds; i++)
        ratios[i] = measure->theirs[i] > 0 ? measure->ours[i] / measure->theirs[i] : 0;
    if (theirs > 0) {
        judged = bench_median(ratios, measure->rounds);
        snprintf(ratio, sizeof(ratio), judged < 10 ? "%.2f" : "%.0f", judged);
        snprintf(peer, sizeof(peer), theirs < 1000 ? "%.3g" : "%.0f", theirs);
    }
    if (measure->goal == BENCH_AT_LEAST)
        met = judged >= measure->bound;
    else if (measure->goal == BENCH_AT_MOST)
        met = judged <= measure->bound;
    if (measure->goal != BENCH_NO_GOAL)
        snprintf(goal, sizeof(goal), "%s %g", measure->goal == BENCH_AT_LEAST ? ">=" : "<=", measure->bound);
    printf("%-26s %-7s %9.3g %-8s %9s %-10s %6s  %-8s %s\n", measure->name, measure->size, ours, measure->unit, peer,
           theirs > 0 ? measure->peer : "", ratio, goal, measure->goal == BENCH_NO_GOAL ? "" : met ? "ok" : "MISS");
    fflush(stdout);
}
