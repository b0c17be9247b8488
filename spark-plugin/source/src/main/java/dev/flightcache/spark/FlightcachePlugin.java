package dev.flightcache.spark;

import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What {@code spark.plugins} names: adds the transparent face to the job and its metrics to Spark's.
 *
 * <p>Nothing here throws: an exception in the initialisation of an executor's plugin kills the
 * executor, and Spark starts the next, for ever.
 */
public final class FlightcachePlugin implements SparkPlugin {
  private static final Logger LOG = LoggerFactory.getLogger(FlightcachePlugin.class);
  private static final String EXTENSIONS = "spark.sql.extensions";
  private static final String OURS = "dev.flightcache.spark.parquet.FlightcacheExtensions";

  @Override
  public DriverPlugin driverPlugin() {
    return new Driver();
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new Executor();
  }

  private static final class Driver implements DriverPlugin {
    @Override
    public Map<String, String> init(SparkContext context, PluginContext plugin) {
      try {
        String others = context.conf().get(EXTENSIONS, "");
        if (!(',' + others + ',').contains(',' + OURS + ',')) {
          context.conf().set(EXTENSIONS, others.isEmpty() ? OURS : others + ',' + OURS);
        }
        meet(Settings.of(key -> context.conf().get(Settings.PREFIX + key, null)));
      } catch (RuntimeException error) {
        LOG.warn("the cache is not used: {}", error.toString());
      }
      return Map.of();
    }

    @Override
    public void registerMetrics(String appId, PluginContext plugin) {
      FlightcachePlugin.registerMetrics(plugin);
    }

    @Override
    public void shutdown() {
      Clients.close();
    }
  }

  private static final class Executor implements ExecutorPlugin {
    @Override
    public void init(PluginContext plugin, Map<String, String> extra) {
      registerMetrics(plugin);
    }

    @Override
    public void shutdown() {
      Clients.close();
    }
  }

  /** Connects while the job starts: loading the classes for it alone takes longer than a call may. */
  private static void meet(Settings settings) {
    if (!settings.enabled()) {
      return;
    }
    Thread thread = new Thread(() -> Clients.meet(settings.client()), "flightcache-connect");
    thread.setDaemon(true);
    thread.start();
  }

  private static void registerMetrics(PluginContext plugin) {
    try {
      Metrics.register(plugin.metricRegistry());
    } catch (RuntimeException error) {
      LOG.warn("no metrics of the cache: {}", error.toString());
    }
  }
}
