/**
 * What the client's batches look like to Spark: which columns are accepted as which Spark types,
 * and column vectors that read their memory where it lies.
 *
 * <pre>
 *  Field + DataType ──► VectorTypes (accepted?) ──► CachedBatch ──load(Batch)──► CachedVector[]
 * </pre>
 *
 * <p>Only pairs of types for which the values equal those of Spark's own Parquet reader are
 * accepted. Nothing here owns memory: vectors are valid as long as the batch that they show.
 */
package dev.flightcache.spark.vector;
