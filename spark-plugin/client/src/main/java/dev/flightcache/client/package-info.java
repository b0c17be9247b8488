/**
 * The Flightcache client: plans scans and streams their batches, with no Spark in it.
 *
 * <pre>
 *  ScanCommand ──► Client.plan ──► ScanPlan ──► Split (serialisable: travels to a task)
 *                                                 │
 *                              Client.read ◄──────┘──► BatchStream ──► Batch ──► Column: addresses
 * </pre>
 *
 * <p>No type of Arrow, gRPC or Netty is in its public face, so that whoever uses it does not care
 * that they are relocated. Batches are memory of their stream: valid until its next {@code next()}
 * or {@code close()}.
 */
package dev.flightcache.client;
