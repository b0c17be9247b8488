package dev.flightcache.integration;

import java.lang.management.ManagementFactory;
import java.util.StringJoiner;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * What the process's metric system holds, as text. Python cannot ask for it: the metric system's own classes differ
 * between Scala 2.12 and 2.13, and JMX's are closed to reflection.
 */
public final class Figures {
  private Figures() {}

  /** Returns a line "name value" for each counter and gauge whose name holds {@code part}, what is before it left out. */
  public static String named(String part) throws JMException {
    MBeanServer server = ManagementFactory.getPlatformMBeanServer();
    StringJoiner lines = new StringJoiner("\n");
    for (ObjectName bean : server.queryNames(new ObjectName("metrics:*"), null)) {
      String name = unquoted(bean.getKeyProperty("name"));
      int start = name.indexOf(part);
      if (start >= 0) {
        String kind = bean.getKeyProperty("type");
        Object value = server.getAttribute(bean, kind.equals("gauges") ? "Value" : "Count");
        lines.add(name.substring(start + part.length()) + " " + value);
      }
    }
    return lines.toString();
  }

  private static String unquoted(String name) {
    return name.startsWith("\"") ? ObjectName.unquote(name) : name;
  }
}
