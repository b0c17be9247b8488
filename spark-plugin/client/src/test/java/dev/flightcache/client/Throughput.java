package dev.flightcache.client;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What one client takes from a node: {@code Throughput URL DATASET STREAMS [PASSES]}. Prints a line
 * a pass over the dataset, of which the first finds the node and the JVM cold.
 */
public final class Throughput {
  private static final int PASSES = 4;

  private Throughput() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 3) {
      throw new IllegalArgumentException("usage: Throughput URL DATASET STREAMS [PASSES]");
    }
    int streams = Integer.parseInt(arguments[2]);
    int passes = arguments.length > 3 ? Integer.parseInt(arguments[3]) : PASSES;
    ClientOptions.Builder options = ClientOptions.builder(List.of(arguments[0]));
    options.token(System.getenv("FLIGHTCACHE_TOKEN"));
    ExecutorService readers = Executors.newFixedThreadPool(streams);
    try (Client client = Client.open(options.build())) {
      ScanCommand command = ScanCommand.dataset(arguments[1]);
      for (int pass = 0; pass < passes; pass++) {
        pass(client, client.plan(command, Duration.ofMinutes(1)), readers, streams);
      }
    } finally {
      readers.shutdown();
    }
  }

  private static void pass(Client client, ScanPlan plan, ExecutorService readers, int streams)
      throws Exception {
    Queue<Split> left = new ConcurrentLinkedQueue<>(plan.splits());
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long wall = System.nanoTime();
    List<Future<long[]>> reads = new ArrayList<>();
    for (int i = 0; i < streams; i++) {
      reads.add(readers.submit((Callable<long[]>) () -> read(client, left)));
    }
    long bytes = 0;
    long rows = 0;
    long waitNanos = 0;
    for (Future<long[]> read : reads) {
      bytes += read.get()[0];
      rows += read.get()[1];
      waitNanos += read.get()[2];
    }
    double gigabytes = bytes / 1e9;
    double seconds = (System.nanoTime() - wall) / 1e9;
    double cpuSeconds = (system.getProcessCpuTime() - cpu) / 1e9;
    System.out.printf(
        "streams=%d splits=%d rows=%d GB=%.3f s=%.3f GB/s=%.2f cpu_s/GB=%.2f wait=%.2f%n",
        streams,
        plan.splits().size(),
        rows,
        gigabytes,
        seconds,
        gigabytes / seconds,
        cpuSeconds / gigabytes,
        waitNanos / 1e9 / seconds / streams);
  }

  private static long[] read(Client client, Queue<Split> left) throws FlightcacheException {
    long[] sums = new long[3];
    for (Split split = left.poll(); split != null; split = left.poll()) {
      try (BatchStream stream = client.read(split, 0)) {
        while (stream.next()) {
          sums[1] += stream.batch().rows();
        }
        sums[0] += stream.bytes();
        sums[2] += stream.waitNanos();
      }
    }
    return sums;
  }
}
