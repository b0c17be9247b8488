package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.util.Base64;
import java.util.concurrent.TimeUnit;

/** A certificate for 127.0.0.1 that signs itself, by the JDK's own tool. */
final class Certificate {
  private static final char[] PASSWORD = "changeit".toCharArray();

  private Certificate() {}

  /** Certificate and key as PEM. */
  static byte[][] selfSigned(Path folder) throws Exception {
    Path store = folder.resolve("store.p12");
    String tool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    Process made =
        new ProcessBuilder(
                tool,
                "-genkeypair",
                "-keyalg",
                "EC",
                "-alias",
                "k",
                "-dname",
                "CN=127.0.0.1",
                "-ext",
                "SAN=IP:127.0.0.1",
                "-ext",
                "BC=ca:true",
                "-validity",
                "2",
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                new String(PASSWORD))
            .redirectErrorStream(true)
            .start();
    assertTrue(made.waitFor(30, TimeUnit.SECONDS) && made.exitValue() == 0, text(made));
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream stream = Files.newInputStream(store)) {
      keys.load(stream, PASSWORD);
    }
    PrivateKey key = (PrivateKey) keys.getKey("k", PASSWORD);
    return new byte[][] {
      pem("CERTIFICATE", keys.getCertificate("k").getEncoded()),
      pem("PRIVATE KEY", key.getEncoded())
    };
  }

  private static String text(Process process) throws IOException {
    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  static byte[] pem(String name, byte[] der) {
    String lines = Base64.getMimeEncoder().encodeToString(der);
    String text = "-----BEGIN " + name + "-----\n" + lines + "\n-----END " + name + "-----\n";
    return text.getBytes(StandardCharsets.US_ASCII);
  }
}
