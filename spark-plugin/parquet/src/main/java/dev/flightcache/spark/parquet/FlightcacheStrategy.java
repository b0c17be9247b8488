package dev.flightcache.spark.parquet;

import dev.flightcache.spark.Cause;
import dev.flightcache.spark.Settings;
import dev.flightcache.spark.Warnings;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.UnaryNode;
import org.apache.spark.sql.execution.FileSourceScanExec;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.SparkStrategy;
import org.apache.spark.sql.execution.datasources.FileSourceStrategy$;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.internal.SQLConf;
import scala.Option;
import scala.runtime.AbstractPartialFunction;
import @scala.seq@.Seq;

/**
 * Plans Parquet scans that a dataset covers by Spark's own strategy, with our format and index in
 * the relation. Whatever stands in the way leaves the plan to Spark.
 */
final class FlightcacheStrategy extends SparkStrategy {
  private static final long serialVersionUID = 1L;

  private final transient SparkSession session;

  FlightcacheStrategy(SparkSession session) {
    this.session = session;
  }

  @Override
  public Seq<SparkPlan> apply(LogicalPlan plan) {
    try {
      LogicalRelation scanned = scanned(plan);
      return scanned == null ? leave() : planned(plan, scanned);
    } catch (RuntimeException | LinkageError error) {
      // A vendor's Spark may have other members than the releases that this was built for.
      Warnings.direct(Cause.INTERNAL, "a scan is planned without the cache: " + error);
      return leave();
    }
  }

  private Seq<SparkPlan> planned(LogicalPlan plan, LogicalRelation scanned) {
    HadoopFsRelation relation = (HadoopFsRelation) scanned.relation();
    SQLConf conf = SQLConf.get();
    Settings settings = settings(conf);
    if (!settings.enabled() || !Eligibility.mayBeOurs(relation, conf, session)) {
      return leave();
    }
    Coverage coverage = Coverage.of(settings, relation.location());
    if (coverage == null) {
      return leave();
    }
    CachedFileIndex index = new CachedFileIndex(relation.location(), settings);
    CachedParquetFormat format = new CachedParquetFormat(settings, index);
    Seq<SparkPlan> ours = planWith(plan, scanned, relation, index, format);
    FileSourceScanExec scan = scan(ours);
    if (scan == null || !scan.supportsColumnar()) {
      return leave();
    }
    Columns columns = Columns.of(scan.requiredSchema(), coverage.fields(), conf);
    if (columns.refusal() != null) {
      UncachedParquetFormat why = new UncachedParquetFormat(columns.refusal());
      Warnings.direct(Cause.COLUMNS, columns.refusal());
      // Of Spark's formats all are equal: only another index makes the relation another one.
      CachedFileIndex listing = new CachedFileIndex(relation.location(), settings);
      return planWith(plan, scanned, relation, listing, why);
    }
    index.plan(columns, coverage.fields());
    return ours;
  }

  private static Settings settings(SQLConf conf) {
    return Settings.of(key -> conf.getConfString(Settings.PREFIX + key, null));
  }

  /** The relation of Parquet files below nothing but projections and filters; null if none is. */
  private static LogicalRelation scanned(LogicalPlan plan) {
    LogicalPlan node = plan;
    while (node instanceof Project || node instanceof Filter) {
      node = ((UnaryNode) node).child();
    }
    if (!(node instanceof LogicalRelation) || node.isStreaming()) {
      return null;
    }
    LogicalRelation relation = (LogicalRelation) node;
    return relation.relation() instanceof HadoopFsRelation ? relation : null;
  }

  private static Seq<SparkPlan> planWith(
      LogicalPlan plan,
      LogicalRelation scanned,
      HadoopFsRelation relation,
      org.apache.spark.sql.execution.datasources.FileIndex index,
      org.apache.spark.sql.execution.datasources.FileFormat format) {
    HadoopFsRelation swapped =
        new HadoopFsRelation(
            index,
            relation.partitionSchema(),
            relation.dataSchema(),
            relation.bucketSpec(),
            format,
            relation.options(),
            relation.sparkSession());
    LogicalPlan changed = plan.transformDown(new Replace(scanned, swapped));
    return FileSourceStrategy$.MODULE$.apply(changed);
  }

  private static FileSourceScanExec scan(Seq<SparkPlan> plans) {
    if (plans.isEmpty()) {
      return null;
    }
    Option<FileSourceScanExec> scan = plans.head().collectFirst(new Scans());
    return scan.isEmpty() ? null : scan.get();
  }

  private static Seq<SparkPlan> leave() {
    return Seqs.empty();
  }

  /** Puts another relation in the place of one. */
  private static final class Replace extends AbstractPartialFunction<LogicalPlan, LogicalPlan> {
    private final LogicalRelation old;
    private final HadoopFsRelation relation;

    Replace(LogicalRelation old, HadoopFsRelation relation) {
      this.old = old;
      this.relation = relation;
    }

    @Override
    public boolean isDefinedAt(LogicalPlan node) {
      return node == old;
    }

    @Override
    public LogicalPlan apply(LogicalPlan node) {
      return applyOrElse(node, null);
    }

    /** The number of its members differs between versions; the relation is the first in all. */
    @Override
    public <A1 extends LogicalPlan, B1> B1 applyOrElse(A1 node, scala.Function1<A1, B1> otherwise) {
      if (node != old) {
        return otherwise.apply(node);
      }
      Object[] members = new Object[old.productArity()];
      for (int i = 0; i < members.length; i++) {
        members[i] = i == 0 ? relation : old.productElement(i);
      }
      @SuppressWarnings("unchecked")
      B1 changed = (B1) old.makeCopy(members);
      return changed;
    }
  }

  /** Finds the scan of a plan. */
  private static final class Scans extends AbstractPartialFunction<SparkPlan, FileSourceScanExec> {
    @Override
    public boolean isDefinedAt(SparkPlan node) {
      return node instanceof FileSourceScanExec;
    }

    @Override
    public FileSourceScanExec apply(SparkPlan node) {
      return (FileSourceScanExec) node;
    }
  }
}
