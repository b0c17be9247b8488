package dev.flightcache.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.flightcache.client.Client;
import dev.flightcache.client.ClientOptions;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The clients of a process, of which a token that changes makes one more each time. */
class ClientsTest {
  private static final long NEVER = Long.MAX_VALUE;

  @AfterEach
  void close() {
    Clients.close();
  }

  private static ClientOptions token(int number) {
    return ClientOptions.builder(List.of("grpc://127.0.0.1:1")).token("t" + number).build();
  }

  @Test
  void unusedOnesCloseWhereThereAreMany() {
    Client first = Clients.of(token(0));
    assertSame(first, Clients.of(token(0)));
    for (int i = 1; i < 20; i++) {
      Clients.of(token(i));
    }
    Clients.closeIdle(5, NEVER);
    assertEquals(20, Clients.open(), "all were used just now");
    Clients.closeIdle(5, 0);
    assertEquals(4, Clients.open(), "room for one more");
    Clients.closeIdle(0, 0);
    assertNotSame(first, Clients.of(token(0)), "what was closed is opened again");
  }
}
