package dev.flightcache.spark.range;

import dev.flightcache.client.StoredObject;
import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FileStatus;

/** Whether a file that Hadoop describes is the version that a plan of the cache describes. */
public final class FileIdentity {
  private FileIdentity() {}

  /** By size, and by ETag where the status carries one, else by the time of its last change. */
  public static boolean same(StoredObject planned, FileStatus listed) {
    if (planned.size() != listed.getLen()) {
      return false;
    }
    String etag = listed instanceof EtagSource ? ((EtagSource) listed).getEtag() : null;
    if (etag != null && !etag.isEmpty() && !planned.etag().isEmpty()) {
      return bare(etag).equals(bare(planned.etag()));
    }
    long time = listed.getModificationTime();
    // Some stores' listings count whole seconds.
    return time == planned.modifiedMs()
        || (time % 1000 == 0 && time / 1000 == Math.floorDiv(planned.modifiedMs(), 1000L));
  }

  /** An ETag without the quotes that some clients drop. */
  private static String bare(String etag) {
    return etag.replace("\"", "");
  }
}
