/**
 * Conditions of Spark as SQL that a server may prune by.
 *
 * <pre>
 *  sources.Filter (V1) ─► FilterTerms ───┐
 *                                        ├─► Term ─► PredicateText ─► SQL, with Literals
 *  Predicate (V2) ──────► PredicateTerms ┘
 * </pre>
 *
 * <p>Spark filters again, so the text may be weaker than the condition, never stronger: a row for
 * which the condition is true must satisfy the text as the server reads it. What cannot be said
 * with that certainty is left out.
 */
package dev.flightcache.spark.prune;
