/* Addresses, and how Spark's engine sets up its channel: Netty's epoll domain sockets, authority "localhost", direct executor. */
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;

final class Sockets {
    static final int MESSAGE_MAX = 128 << 20;

    private static final EventLoopGroup LOOP = new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());

    private Sockets() {}

    static boolean isUnix(String address) {
        return address.startsWith("unix:") || address.startsWith("unix-abstract:");
    }

    /* unix:/path, unix-abstract:name or host:port */
    static SocketAddress parse(String address) {
        if (address.startsWith("unix-abstract:")) {
            return new DomainSocketAddress("\0" + address.substring("unix-abstract:".length()));
        }
        if (address.startsWith("unix:")) {
            return new DomainSocketAddress(address.substring("unix:".length()));
        }
        int colon = address.lastIndexOf(':');
        return new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
    }

    static NettyChannelBuilder client(String address) {
        return NettyChannelBuilder.forAddress(parse(address))
                .channelType(isUnix(address) ? EpollDomainSocketChannel.class : EpollSocketChannel.class)
                .eventLoopGroup(LOOP)
                .usePlaintext()
                .overrideAuthority("localhost")
                .directExecutor()
                .maxInboundMessageSize(MESSAGE_MAX);
    }

    static NettyServerBuilder server(String address) {
        return NettyServerBuilder.forAddress(parse(address))
                .channelType(isUnix(address) ? EpollServerDomainSocketChannel.class : EpollServerSocketChannel.class)
                .bossEventLoopGroup(LOOP)
                .workerEventLoopGroup(LOOP)
                .maxInboundMessageSize(MESSAGE_MAX);
    }
}
