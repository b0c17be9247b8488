//! Which columns of a dataset are INT96 in its files: told beside its schema, for Spark reads those
//! and no other nanoseconds.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use flightcache_connectors::{Footer, has_path};
use flightcache_protocol::{INT96_KEY, Int96Path, int96_text};

/// Collects, one file at a time, what is INT96.
#[derive(Debug, Default)]
pub(crate) struct Int96Union {
    /// What was found, each combination once: a schema, and what of it is INT96.
    files: Vec<(SchemaRef, Vec<Int96Path>)>,
}

impl Int96Union {
    /// Adds the file of `footer`.
    pub(crate) fn add(&mut self, footer: &Footer) {
        let paths = || footer.int96.iter().map(|leaf| &leaf.path);
        let known = self.files.iter().any(|(schema, known)| {
            known.iter().eq(paths())
                && (Arc::ptr_eq(schema, &footer.schema) || *schema == footer.schema)
        });
        if !known {
            self.files.push((Arc::clone(&footer.schema), paths().cloned().collect()));
        }
    }

    /// `schema` with the paths that are INT96 in every file that has them; those below `partitions`
    /// come from folders.
    pub(crate) fn tell(self, schema: SchemaRef, partitions: &[String]) -> SchemaRef {
        let files = self.files.iter().map(|(schema, int96)| (schema, int96.iter().collect()));
        let files: Vec<(&SchemaRef, HashSet<&Int96Path>)> = files.collect();
        let everywhere = |path: &&Int96Path| {
            path.first().is_some_and(|column| !partitions.contains(column))
                && files.iter().all(|(file, int96)| int96.contains(path) || !has_path(file, path))
        };
        let found: BTreeSet<&Int96Path> = self.files.iter().flat_map(|(_, int96)| int96).collect();
        let paths: Vec<Int96Path> = found.into_iter().filter(everywhere).cloned().collect();
        // A file written from what a node sent may have the key too, and means other columns by it.
        if paths.is_empty() && !schema.metadata().contains_key(INT96_KEY) {
            return schema;
        }
        let mut told = schema.as_ref().clone();
        told.metadata.remove(INT96_KEY);
        if !paths.is_empty() {
            told.metadata.insert(INT96_KEY.to_owned(), int96_text(&paths));
        }
        Arc::new(told)
    }
}
