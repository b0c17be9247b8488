package dev.flightcache.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.UnknownFieldSet.Field;
import io.grpc.Metadata;
import io.grpc.Status;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Where nodes are, how they are trusted, and when they are left alone. */
@Timeout(60)
@SuppressWarnings("try") // A node's close() may be interrupted, as tests may be.
class ConnectionTest {
  @Test
  void urlsAreTakenAsTheyAreMeantOrNamed() {
    assertEquals("grpc://h:1", NodeAddress.parse(" grpc+tcp://H:1/ ").toString());
    assertTrue(NodeAddress.parse("grpc+tls://h:65535").tls());
    assertEquals("::1", NodeAddress.parse("grpc://[::1]:5").host());
    String[] wrong = {
      "",
      "h:1",
      "http://h:1",
      "grpc://h",
      "grpc://h:0",
      "grpc://h:65536",
      "grpc://:1",
      "grpc://h:1/x",
      "grpc://h:1?token=hush",
      "grpc://u:hush@h:1",
      "grpc://h:1#hush",
      "grpc://h h:1"
    };
    for (String url : wrong) {
      var error = assertThrows(IllegalArgumentException.class, () -> NodeAddress.parse(url));
      assertTrue(error.getMessage().contains("grpc://HOST:PORT"), error.getMessage());
      assertFalse(error.toString().contains("hush"), error.toString());
    }
    var options = ClientOptions.builder(List.of("grpc://h:1")).token("hu\nsh").build();
    var error = assertThrows(IllegalArgumentException.class, () -> Client.open(options));
    assertFalse(error.getMessage().contains("hu"), error.getMessage());
  }

  @Test
  void aBreakerOpensProbesAndCloses() {
    AtomicLong clock = new AtomicLong(Long.MAX_VALUE - 5);
    Breaker breaker = new Breaker(clock::get);
    FlightcacheException gone = new FlightcacheException(ErrorKind.UNAVAILABLE, "gone");
    for (int i = 0; i < Breaker.FAILURES; i++) {
      assertTrue(breaker.enter());
      breaker.ended(new FlightcacheException(ErrorKind.NOT_FOUND, "an answer all the same"));
      assertTrue(breaker.enter());
      breaker.ended(gone);
    }
    assertTrue(breaker.enter(), "no failures in a row");
    for (int i = 0; i < Breaker.FAILURES; i++) {
      breaker.ended(gone);
    }
    assertFalse(breaker.enter());
    clock.addAndGet(Breaker.OPEN_NANOS - 1);
    assertFalse(breaker.enter());
    clock.addAndGet(Breaker.OPEN_NANOS / 2 + 1);
    assertTrue(breaker.enter(), "one probes");
    assertFalse(breaker.enter(), "and no other");
    breaker.ended(new FlightcacheException(ErrorKind.CANCELLED, "gave up"));
    assertTrue(breaker.enter(), "so another one probes");
    breaker.ended(gone);
    assertFalse(breaker.enter());
    clock.addAndGet(Breaker.OPEN_NANOS * 2);
    assertTrue(breaker.enter());
    breaker.answered();
    assertTrue(breaker.enter() && breaker.enter());
  }

  @Test
  void exhaustedNodesSayWhenToComeBack() {
    UnknownFieldSet delay =
        fields(1, varint(1)).mergeFrom(fields(2, varint(250_000_000)).build()).build();
    UnknownFieldSet info = fields(1, bytes(delay.toByteString())).build();
    ByteString type = ByteString.copyFromUtf8("type.googleapis.com/google.rpc.RetryInfo");
    UnknownFieldSet any =
        fields(1, bytes(type)).mergeFrom(fields(2, bytes(info.toByteString())).build()).build();
    Metadata trailers = new Metadata();
    var key = Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
    trailers.put(key, fields(3, bytes(any.toByteString())).build().toByteArray());
    NodeAddress node = NodeAddress.parse("grpc://h:1");
    assertEquals(1250, Failures.of(Status.RESOURCE_EXHAUSTED, trailers, node).retryAfterMs());
    assertEquals(-1, Failures.of(Status.UNAVAILABLE, trailers, node).retryAfterMs());
    trailers.discardAll(key);
    trailers.put(key, new byte[] {1, 2, 3});
    assertEquals(-1, Failures.of(Status.RESOURCE_EXHAUSTED, trailers, node).retryAfterMs());
  }

  private static UnknownFieldSet.Builder fields(int number, Field field) {
    return UnknownFieldSet.newBuilder().addField(number, field);
  }

  private static Field varint(long value) {
    return Field.newBuilder().addVarint(value).build();
  }

  private static Field bytes(ByteString value) {
    return Field.newBuilder().addLengthDelimited(value).build();
  }

  @Test
  void tlsGoesBothWaysAndIsNotGivenUp(@TempDir Path folder) throws Exception {
    byte[][] pem = Certificate.selfSigned(folder);
    try (TestNode node = new TestNode(pem[0], pem[1]);
        TestNode plain = new TestNode()) {
      var trusted = ClientOptions.builder(List.of(node.url())).caPem(pem[0]);
      try (Client client = Client.open(trusted.identityPem(pem[0], pem[1]).token("hush").build())) {
        try (BatchStream stream = client.read(TestNode.split(node.url()), 990)) {
          assertTrue(stream.next());
        }
        Split lured = TestNode.split(plain.url());
        assertThrows(FlightcacheException.class, () -> client.read(lured, 0));
        assertEquals(0, plain.reads());
      }
      assertUnavailable(ClientOptions.builder(List.of(node.url())).caPem(pem[0]).build(), node);
      var untrusting = ClientOptions.builder(List.of(node.url())).identityPem(pem[0], pem[1]);
      assertUnavailable(untrusting.build(), node);
    }
  }

  private static void assertUnavailable(ClientOptions options, TestNode node) {
    try (Client client = Client.open(options)) {
      var error =
          assertThrows(
              FlightcacheException.class, () -> client.read(TestNode.split(node.url()), 0));
      assertEquals(ErrorKind.UNAVAILABLE, error.kind());
    }
  }

  @Test
  void keysAreReadInTheirOlderFormsToo() throws Exception {
    PrivateKey rsa = KeyPairGenerator.getInstance("RSA").generateKeyPair().getPrivate();
    byte[] pkcs8 = rsa.getEncoded();
    assertEquals(rsa, Pem.key(Certificate.pem("PRIVATE KEY", pkcs8)));
    // Behind the header, the version, the algorithm and the header of the octets.
    byte[] pkcs1 = Arrays.copyOfRange(pkcs8, 4 + 3 + 15 + 4, pkcs8.length);
    assertEquals(rsa, Pem.key(Certificate.pem("RSA PRIVATE KEY", pkcs1)));

    KeyPairGenerator curves = KeyPairGenerator.getInstance("EC");
    curves.initialize(new ECGenParameterSpec("secp256r1"));
    PrivateKey ec = curves.generateKeyPair().getPrivate();
    byte[] inner = ec.getEncoded();
    byte[] number = Arrays.copyOfRange(inner, inner.length - 32, inner.length);
    byte[] curve = {(byte) 0xa0, 10, 6, 8, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 3, 1, 7};
    byte[] sec1 = new byte[7 + 32 + curve.length];
    byte[] start = {0x30, (byte) (5 + 32 + curve.length), 2, 1, 1, 4, 32};
    System.arraycopy(start, 0, sec1, 0, start.length);
    System.arraycopy(number, 0, sec1, start.length, 32);
    System.arraycopy(curve, 0, sec1, start.length + 32, curve.length);
    ECPrivateKey read = (ECPrivateKey) Pem.key(Certificate.pem("EC PRIVATE KEY", sec1));
    assertEquals(((ECPrivateKey) ec).getS(), read.getS());
    assertEquals(((ECPrivateKey) ec).getParams().getCurve(), read.getParams().getCurve());

    byte[][] wrong = {
      {},
      Certificate.pem("ENCRYPTED PRIVATE KEY", pkcs8),
      Certificate.pem("PRIVATE KEY", new byte[] {1, 2}),
      Certificate.pem("EC PRIVATE KEY", new byte[] {0x30, 2, 2, 1}),
      Certificate.pem("EC PRIVATE KEY", new byte[] {0x30})
    };
    for (byte[] bytes : wrong) {
      assertThrows(IllegalArgumentException.class, () -> Pem.key(bytes));
    }
    assertThrows(IllegalArgumentException.class, () -> Pem.certificates(new byte[] {1}));
  }
}
