package dev.flightcache.client;

import java.util.ArrayList;
import java.util.List;

/** A node's answer to where a split's columns lie, which is not trusted to be in shape. Immutable. */
final class MapReply {
  /** A row group: a file for each column. */
  static final class Group {
    private final int rowGroup;
    private final long firstRow;
    private final long rows;
    private final List<File> files;

    private Group(int rowGroup, long firstRow, long rows, List<File> files) {
      this.rowGroup = rowGroup;
      this.firstRow = firstRow;
      this.rows = rows;
      this.files = List.copyOf(files);
    }

    int rowGroup() {
      return rowGroup;
    }

    long firstRow() {
      return firstRow;
    }

    long rows() {
      return rows;
    }

    List<File> files() {
      return files;
    }
  }

  /** What is told of a file. */
  static final class File {
    private final String path;
    private final long bytes;
    private final String checksum;

    private File(String path, long bytes, String checksum) {
      this.path = path;
      this.bytes = bytes;
      this.checksum = checksum;
    }

    String path() {
      return path;
    }

    long bytes() {
      return bytes;
    }

    /** Its bytes 8 to 24, in hex. */
    String checksum() {
      return checksum;
    }
  }

  private final List<Group> groups;

  private MapReply(List<Group> groups) {
    this.groups = groups;
  }

  static MapReply parse(String text) throws FlightcacheException {
    Json json = Json.parse(text, "the answer where columns lie");
    if (json.has("streamed")) {
      return new MapReply(null);
    }
    List<Group> groups = new ArrayList<>();
    for (Json group : json.objects("row_groups")) {
      List<File> files = new ArrayList<>();
      for (Json file : group.objects("columns")) {
        files.add(new File(file.text("path"), file.count("bytes"), file.text("checksum")));
      }
      long first = group.count("first_row");
      long rows = group.count("rows");
      if (first + rows < 0) {
        throw new FlightcacheException(ErrorKind.INTERNAL, "a row group of more rows than there are");
      }
      groups.add(new Group(group.ordinal("row_group"), first, rows, files));
    }
    return new MapReply(List.copyOf(groups));
  }

  /** Whether the split is to be read as a stream. */
  boolean streamed() {
    return groups == null;
  }

  /** The row groups, in file order. */
  List<Group> groups() {
    return groups;
  }
}
