package dev.flightcache.client;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Certificates and keys as text. The JDK reads keys in PKCS#8 alone; the older forms of OpenSSL are
 * the same keys without that wrapping, which is put around them.
 */
final class Pem {
  private static final Pattern KEY =
      Pattern.compile(
          "-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----([^-]*)-----END \\1-----");

  private static final String[] ALGORITHMS = {"RSA", "EC", "EdDSA"};

  private static final byte[] RSA_OID = {
    0x30, 0x0d, 6, 9, 0x2a, (byte) 0x86, 0x48, (byte) 0x86, (byte) 0xf7, 0x0d, 1, 1, 1, 5, 0
  };
  private static final byte[] EC_OID = {6, 7, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 2, 1};
  private static final byte[] VERSION = {2, 1, 0};

  private static final int SEQUENCE = 0x30;
  private static final int OCTETS = 4;

  /** Where an EC key names its curve. */
  private static final int CURVE = 0xa0;

  private Pem() {}

  /**
   * @throws IllegalArgumentException if there is no certificate in it
   */
  static X509Certificate[] certificates(byte[] pem) {
    try {
      var read =
          CertificateFactory.getInstance("X.509")
              .generateCertificates(new ByteArrayInputStream(pem));
      if (!read.isEmpty()) {
        return read.toArray(new X509Certificate[0]);
      }
    } catch (GeneralSecurityException error) {
      throw new IllegalArgumentException("the certificate is no PEM that can be read", error);
    }
    throw new IllegalArgumentException("there is no certificate in the PEM");
  }

  /**
   * @throws IllegalArgumentException if there is no key in it, or it is encrypted; the message does
   *     not show any of it
   */
  static PrivateKey key(byte[] pem) {
    Matcher block = KEY.matcher(new String(pem, StandardCharsets.ISO_8859_1));
    if (!block.find()) {
      throw new IllegalArgumentException("there is no private key in the PEM");
    }
    String form = block.group(1);
    if (form.startsWith("ENCRYPTED") || block.group(2).contains("ENCRYPTED")) {
      throw new IllegalArgumentException("the private key is encrypted: give it without password");
    }
    byte[] der;
    try {
      der = Base64.getMimeDecoder().decode(block.group(2));
    } catch (IllegalArgumentException error) {
      throw unreadable();
    }
    if (form.startsWith("RSA")) {
      der = der(SEQUENCE, VERSION, RSA_OID, der(OCTETS, der));
    } else if (form.startsWith("EC")) {
      der = der(SEQUENCE, VERSION, der(SEQUENCE, EC_OID, curve(der)), der(OCTETS, der));
    }
    return pkcs8(der);
  }

  private static PrivateKey pkcs8(byte[] der) {
    for (String algorithm : ALGORITHMS) {
      try {
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
      } catch (InvalidKeySpecException error) {
        continue;
      } catch (GeneralSecurityException error) {
        // Java 11 has no EdDSA.
        break;
      }
    }
    throw unreadable();
  }

  /** The curve's identifier in an EC key: version, key, [0] curve, [1] public key. */
  private static byte[] curve(byte[] key) {
    int at = content(key, 0);
    while (at + 1 < key.length) {
      int inside = content(key, at);
      int length = length(key, at);
      if (inside + length > key.length) {
        break;
      }
      if ((key[at] & 0xff) == CURVE) {
        return java.util.Arrays.copyOfRange(key, inside, inside + length);
      }
      at = inside + length;
    }
    throw new IllegalArgumentException("the EC private key does not name its curve");
  }

  private static int content(byte[] der, int at) {
    int first = der.length > at + 1 ? der[at + 1] & 0xff : 0;
    return at + 2 + (first > 0x80 ? first & 0x7f : 0);
  }

  private static int length(byte[] der, int at) {
    int first = der[at + 1] & 0xff;
    if (first < 0x80) {
      return first;
    }
    int length = 0;
    for (int i = at + 2; i < content(der, at); i++) {
      if (i >= der.length || length > 0xffff) {
        throw unreadable();
      }
      length = length << 8 | der[i] & 0xff;
    }
    return length;
  }

  private static byte[] der(int tag, byte[]... parts) {
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      content.writeBytes(part);
    }
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    whole.write(tag);
    int length = content.size();
    if (length >= 0x80) {
      // As few bytes as hold it, or the JDK takes it for no DER.
      int bytes = length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
      whole.write(0x80 | bytes);
      for (int i = bytes - 1; i > 0; i--) {
        whole.write(length >> 8 * i);
      }
    }
    whole.write(length);
    whole.writeBytes(content.toByteArray());
    return whole.toByteArray();
  }

  private static IllegalArgumentException unreadable() {
    return new IllegalArgumentException("the private key is neither RSA, EC nor EdDSA");
  }
}
