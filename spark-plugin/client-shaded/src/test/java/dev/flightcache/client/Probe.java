package dev.flightcache.client;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * Reads the first column of a dataset with nothing but the relocated client on the class path, and
 * prints how many rows there were. A second and third argument are a certificate and its key.
 */
public final class Probe {
  private Probe() {}

  public static void main(String[] arguments) throws Exception {
    ClientOptions.Builder options = ClientOptions.builder(List.of(arguments[0]));
    if (arguments.length > 1) {
      byte[] certificate = Files.readAllBytes(Path.of(arguments[1]));
      options.caPem(certificate);
      options.identityPem(certificate, Files.readAllBytes(Path.of(arguments[2])));
    }
    long rows = 0;
    long bytes = 0;
    try (Client client = Client.open(options.build())) {
      ScanPlan plan = client.plan(ScanCommand.dataset("numbers"), Duration.ofSeconds(30));
      for (Split split : plan.splits()) {
        try (BatchStream stream = client.read(split, 3)) {
          while (stream.next()) {
            rows += stream.batch().rows();
            Column column = stream.batch().column(0);
            bytes += column.dataAddress() == 0 ? 0 : column.dataBytes();
          }
        }
      }
      String there = "rows=" + rows + " bytes=" + (bytes >= rows * 8);
      System.out.println(there + " left=" + client.allocatedBytes());
    }
    try {
      Class.forName("io.netty.buffer.ByteBuf");
      System.out.println("not alone");
    } catch (ClassNotFoundException alone) {
      System.out.println("alone");
    }
  }
}
