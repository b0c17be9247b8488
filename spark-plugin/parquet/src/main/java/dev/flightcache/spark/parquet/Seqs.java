package dev.flightcache.spark.parquet;

import java.util.List;
import java.util.Map;
import scala.Tuple2;
import scala.collection.JavaConverters;
import @scala.seq@.Seq;

/** Scala's collections as Java's and back, by what all versions of Scala have. */
@SuppressWarnings({"deprecation", "unchecked"})
final class Seqs {
  private Seqs() {}

  static <T> List<T> list(Seq<T> seq) {
    return JavaConverters.seqAsJavaList(seq);
  }

  static <T> Seq<T> seq(List<T> list) {
    return JavaConverters.asScalaBuffer(list).toSeq();
  }

  static <T> Seq<T> empty() {
    return seq(List.of());
  }

  static <K, V> Map<K, V> map(scala.collection.immutable.Map<K, V> map) {
    return JavaConverters.mapAsJavaMap(map);
  }

  /** The map with one entry more. */
  static <V> scala.collection.immutable.Map<String, V> with(
      scala.collection.immutable.Map<String, V> map, String key, V value) {
    Object more = map.$plus(new Tuple2<>(key, value));
    return (scala.collection.immutable.Map<String, V>) more;
  }
}
