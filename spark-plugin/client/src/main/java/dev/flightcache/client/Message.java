package dev.flightcache.client;

/** One {@code FlightData} as it came: Arrow's message header, the metadata, and the body. */
final class Message {
  private final byte[] header;
  private final byte[] metadata;
  private final Block body;

  /**
   * @param body null if there is none
   */
  Message(byte[] header, byte[] metadata, Block body) {
    this.header = header;
    this.metadata = metadata;
    this.body = body;
  }

  /** A flatbuffer; empty in a message of metadata alone. */
  byte[] header() {
    return header;
  }

  byte[] metadata() {
    return metadata;
  }

  /** May be null. */
  Block body() {
    return body;
  }

  long bytes() {
    return body == null ? 0 : body.bytes();
  }

  void free() {
    if (body != null) {
      body.free();
    }
  }
}
