package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The node itself, {@code FLIGHTCACHE_BIN}, which serves a table that pyarrow writes. */
final class RealNode {
  private static final Pattern READY = Pattern.compile("flightcache ready flight=(\\S+) .*");
  private static final Path PYTHON = Path.of("../../.venv/bin/python").toAbsolutePath();

  private final Process process;
  private final String url;
  private final Path cache;

  private RealNode(Process process, String url, Path cache) {
    this.process = process;
    this.url = url;
    this.cache = cache;
  }

  /** Why none can be started; null if one can. */
  static String missing() {
    if (System.getenv("FLIGHTCACHE_BIN") == null) {
      return "FLIGHTCACHE_BIN names no node";
    }
    return Files.exists(PYTHON) ? null : "there is no .venv, so nobody writes a table to serve";
  }

  /**
   * Starts a node.
   *
   * @param folder where its files go
   * @param program Python that writes Parquet files into the folder that is its first argument
   * @param argument its second
   */
  static RealNode start(Path folder, String program, String argument) throws Exception {
    Path data = Files.createDirectory(folder.resolve("table"));
    List<String> write = List.of(PYTHON.toString(), "-c", program, data.toString(), argument);
    Process writer = new ProcessBuilder(write).redirectErrorStream(true).start();
    String said = new String(writer.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, writer.waitFor(), said);
    Path cache = folder.resolve("cache");
    Process process =
        new ProcessBuilder(
                Path.of(System.getenv("FLIGHTCACHE_BIN")).toAbsolutePath().toString(),
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--cache-dir",
                cache.toString(),
                "--memory",
                "256MiB",
                "--dataset",
                "table=" + data.toUri())
            .redirectError(folder.resolve("log").toFile())
            .start();
    var lines = new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8);
    Matcher ready = READY.matcher(String.valueOf(new BufferedReader(lines).readLine()));
    assertTrue(ready.matches(), () -> read(folder.resolve("log")));
    return new RealNode(process, ready.group(1), cache);
  }

  private static String read(Path path) {
    try {
      return Files.readString(path);
    } catch (IOException error) {
      return error.toString();
    }
  }

  String url() {
    return url;
  }

  /** Its cache folder. */
  Path cache() {
    return cache;
  }

  /** Kills it, as nothing that it could catch. */
  void kill() throws InterruptedException {
    process.destroyForcibly();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
  }

  void stop() throws InterruptedException {
    process.destroy();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
  }
}
