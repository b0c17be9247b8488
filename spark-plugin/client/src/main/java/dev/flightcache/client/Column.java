package dev.flightcache.client;

/**
 * A column of a batch as raw memory, in Arrow's layout, little endian.
 *
 * <p>Addresses are those of {@code Unsafe}; 0 where there is no such buffer. They are valid as long
 * as the batch is.
 */
public interface Column {
  Field field();

  /** Values that it holds. */
  int length();

  int nullCount();

  /** Bitmap of the values that are there, least significant bit first; 0 if all are. */
  long validityAddress();

  /** {@code length + 1} offsets of 32 bits, of 64 in the large kinds; 0 for kinds without. */
  long offsetsAddress();

  /** Values, bits of booleans, bytes of strings; of a dictionary column, its indices. */
  long dataAddress();

  /** Bytes behind {@link #dataAddress()}. */
  long dataBytes();

  /** Signed bits of an index (8, 16, 32 or 64); 0 where this is no dictionary column. */
  int indexBits();

  /** Whether indices are unsigned. */
  boolean unsignedIndices();

  /** The values that indices point at; null where this is no dictionary column. */
  Column dictionary();

  int children();

  Column child(int index);
}
