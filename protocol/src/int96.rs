//! Which columns the files of a dataset hold as INT96, told beside a schema.

/// The key, in the metadata of a schema, under which its INT96 columns are named.
pub const INT96_KEY: &str = "flightcache.int96";

/// A column, or a value inside of one, that every file of a dataset which has it holds as INT96: its
/// name, and on the way down the names of fields in structs, `item` in lists, `key` or `value` in maps.
pub type Int96Path = Vec<String>;

/// `paths` as they stand under [`INT96_KEY`]: JSON, a list of lists of names.
pub fn int96_text(paths: &[Int96Path]) -> String {
    serde_json::json!(paths).to_string()
}
