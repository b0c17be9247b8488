"""A pyarrow (C++) Flight server that holds one Parquet file as a plain-typed table in memory."""

import sys

import pyarrow.parquet as pq
from pyarrow import flight

from harness.tables import plain

BATCH_ROWS = 16_384


class Peer(flight.FlightServerBase):
    """Answers every ticket with the whole table, in batches of some 2 MB."""

    def __init__(self, path: str) -> None:
        """Read the file and listen on a free port."""
        super().__init__("grpc://127.0.0.1:0")
        table = plain(pq.read_table(path)).replace_schema_metadata().combine_chunks()
        self.schema = table.schema
        self.batches = table.to_batches(max_chunksize=BATCH_ROWS)

    def do_get(
        self, _context: flight.ServerCallContext, _ticket: flight.Ticket
    ) -> flight.FlightDataStream:
        """Stream the table."""
        return flight.GeneratorStream(self.schema, iter(self.batches))


if __name__ == "__main__":
    with Peer(sys.argv[1]) as server:
        print(f"ready grpc://127.0.0.1:{server.port}", flush=True)
        server.serve()
