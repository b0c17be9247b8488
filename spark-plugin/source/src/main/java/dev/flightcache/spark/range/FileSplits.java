package dev.flightcache.spark.range;

import dev.flightcache.client.Split;
import dev.flightcache.client.StoredObject;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.Serializable;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;

/** What the driver's plan says of one file; travels to tasks as bytes beside the file. */
public final class FileSplits implements Serializable {
  private static final long serialVersionUID = 1L;

  private final StoredObject file;
  private final Split[] splits;
  private final boolean pruned;

  /**
   * The splits of a file, in file order.
   *
   * @param file the version that they are of
   * @param pruned whether rows that do not match may be missing from them
   */
  public FileSplits(StoredObject file, List<Split> splits, boolean pruned) {
    for (Split split : splits) {
      for (StoredObject object : split.objects()) {
        if (!object.path().equals(file.path()) || !object.etag().equals(file.etag())) {
          throw new IllegalArgumentException("a split of " + object + " is none of " + file);
        }
      }
    }
    this.file = file;
    this.splits = splits.toArray(new Split[0]);
    this.pruned = pruned;
  }

  /** Whether {@code status} is of the version that was planned. */
  public boolean describes(FileStatus status) {
    return FileIdentity.same(file, status);
  }

  List<Split> splits() {
    return List.of(splits);
  }

  boolean pruned() {
    return pruned;
  }

  /** As bytes. */
  public byte[] encode() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(this);
    }
    return bytes.toByteArray();
  }

  /** What {@link #encode()} gave, which only the driver of this job can have done. */
  public static FileSplits decode(byte[] bytes) throws IOException {
    try (ObjectInputStream in = new OwnClasses(new ByteArrayInputStream(bytes))) {
      return (FileSplits) in.readObject();
    } catch (ClassNotFoundException error) {
      throw new IOException("the driver runs another version of flightcache-spark", error);
    }
  }

  /** Finds classes where this one is: a jar of {@code --jars} is not on the stack's loader. */
  private static final class OwnClasses extends ObjectInputStream {
    OwnClasses(ByteArrayInputStream in) throws IOException {
      super(in);
    }

    @Override
    protected Class<?> resolveClass(ObjectStreamClass description)
        throws IOException, ClassNotFoundException {
      return Class.forName(description.getName(), false, FileSplits.class.getClassLoader());
    }
  }
}
