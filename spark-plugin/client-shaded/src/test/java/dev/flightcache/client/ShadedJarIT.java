package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.zip.ZipEntry;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The jar as Spark gets it: what is in it, and that it reads with nothing beside it. */
@Timeout(120)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class ShadedJarIT {
  private static final Path JAR = Path.of(System.getProperty("shaded.jar"));
  private static final String SPLIT =
      "{\"objects\":[{\"path\":\"a\",\"size\":1,\"etag\":\"\",\"row_groups\":[]}]}";

  @TempDir Path folder;

  private static FlightInfo info() {
    Ticket ticket = new Ticket(new byte[] {1});
    FlightEndpoint endpoint =
        FlightEndpoint.builder(ticket)
            .setAppMetadata(SPLIT.getBytes(StandardCharsets.UTF_8))
            .build();
    return FlightInfo.builder(new Schema(List.of()), FlightDescriptor.path("x"), List.of(endpoint))
        .setAppMetadata("{\"snapshot\":\"s\"}".getBytes(StandardCharsets.UTF_8))
        .build();
  }

  private static void assertReads(String... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-cp", JAR + File.pathSeparator + System.getProperty("probe.classes")));
    command.add("dev.flightcache.client.Probe");
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(
        List.of("rows=997 bytes=true left=0", "alone"),
        said.lines().collect(Collectors.toList()),
        said);
  }

  @Test
  void readsAloneInPlainAndWithTls() throws Exception {
    try (TestNode node = new TestNode().plans(info())) {
      assertReads(node.url());
    }
    byte[][] pem = Certificate.selfSigned(folder);
    Path certificate = Files.write(folder.resolve("cert.pem"), pem[0]);
    Path key = Files.write(folder.resolve("key.pem"), pem[1]);
    try (TestNode node = new TestNode(pem[0], pem[1]).plans(info())) {
      assertReads(node.url(), certificate.toString(), key.toString());
    }
  }

  /** By the version of Spark's Netty, gRPC would take a cumulator that loses bytes with ours. */
  @Test
  void sparksNettyIsNotTakenForOurs() throws Exception {
    try (JarFile jar = new JarFile(JAR.toFile())) {
      ZipEntry version = jar.getEntry("dev/flightcache/shaded/netty/util/Version.class");
      byte[] bytes = jar.getInputStream(version).readAllBytes();
      String text = new String(bytes, StandardCharsets.ISO_8859_1);
      assertTrue(text.contains("netty.versions.properties"));
      assertFalse(text.contains("META-INF/io.netty.versions.properties"));
    }
  }

  @Test
  void everythingIsRelocatedAndLicensed() throws Exception {
    try (JarFile jar = new JarFile(JAR.toFile())) {
      List<String> names =
          jar.stream()
              .filter(entry -> !entry.isDirectory())
              .map(ZipEntry::getName)
              .collect(Collectors.toList());
      List<String> foreign =
          names.stream()
              .filter(name -> !name.startsWith("dev/flightcache/") && !name.startsWith("META-INF/"))
              .collect(Collectors.toList());
      assertEquals(List.of(), foreign);
      for (String name : names) {
        boolean unwanted =
            name.matches(".*\\.(so|dll|dylib|jnilib|proto)") || name.contains("module-info");
        boolean signed =
            name.matches("META-INF/.*\\.(SF|RSA|DSA)") || name.startsWith("META-INF/maven");
        boolean service = name.startsWith("META-INF/services/");
        boolean ours = name.startsWith("META-INF/services/dev.flightcache.shaded.");
        assertTrue(!unwanted && !signed && (!service || ours), name);
      }
      assertEquals(names.size(), names.stream().distinct().count());
      assertTrue(names.contains("META-INF/NOTICE") && names.contains("META-INF/LICENSE"));
      String notice =
          new String(jar.getInputStream(jar.getEntry("META-INF/NOTICE")).readAllBytes());
      assertTrue(
          notice.startsWith("Flightcache\n") && notice.contains("Apache Software Foundation"));
    }
  }
}
