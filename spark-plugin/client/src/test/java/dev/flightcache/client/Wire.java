package dev.flightcache.client;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** A connection to a node that can be cut or fall silent after some bytes of its answers. */
final class Wire implements AutoCloseable {
  private final ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
  private final NodeAddress node;
  private final boolean silent;
  private final AtomicLong left;

  /**
   * @param bytes of answers that come through
   * @param silent whether connections then stay open
   */
  Wire(String url, long bytes, boolean silent) throws IOException {
    this.node = NodeAddress.parse(url);
    this.left = new AtomicLong(bytes);
    this.silent = silent;
    start(this::accept);
  }

  String url() {
    return "grpc://127.0.0.1:" + server.getLocalPort();
  }

  /** Whether it has come to its end. */
  boolean broke() {
    return left.get() <= 0;
  }

  private static void start(Runnable work) {
    Thread thread = new Thread(work);
    thread.setDaemon(true);
    thread.start();
  }

  private void accept() {
    while (!server.isClosed()) {
      try {
        Socket client = server.accept();
        Socket behind = new Socket(node.host(), node.port());
        sockets.add(client);
        sockets.add(behind);
        start(() -> pump(client, behind, false));
        start(() -> pump(behind, client, true));
      } catch (IOException closed) {
        return;
      }
    }
  }

  private void pump(Socket from, Socket to, boolean answers) {
    byte[] buffer = new byte[64 << 10];
    try (InputStream in = from.getInputStream();
        OutputStream out = to.getOutputStream()) {
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        if (answers && left.addAndGet(-read) <= 0) {
          if (!silent) {
            close();
          }
          // Who is silent still takes what comes, and passes nothing on.
          while (in.read(buffer) >= 0) {
            left.decrementAndGet();
          }
          return;
        }
        out.write(buffer, 0, read);
      }
    } catch (IOException closed) {
      left.get();
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
    for (Socket socket : sockets) {
      socket.close();
    }
  }
}
