//! Properties of files and keys, over random bytes and the kept corpus of the fuzz targets.

use std::fs;

use proptest::prelude::*;

use super::{super::testing, *};
use crate::{ObjectId, disk::format};

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "the corpus of {target} is missing");
    for input in inputs {
        let bytes = fs::read(input).unwrap();
        check(&bytes);
        for at in 0..bytes.len() {
            let mut turned = bytes.clone();
            turned[at] ^= 0x81;
            check(&turned);
        }
    }
}

#[test]
fn the_corpus_of_files_holds() {
    replay("cache_file", testing::file);
}

#[test]
fn the_corpus_of_columns_holds() {
    replay("cache_column", testing::column);
}

#[test]
fn the_corpus_of_keys_holds() {
    replay("chunk_key", testing::key);
}

fn keys() -> impl Strategy<Value = ChunkKey> {
    let part = prop_oneof![
        (any::<u32>(), any::<u32>())
            .prop_map(|(row_group, column)| Part::Column { row_group, column }),
        Just(Part::Footer),
        (any::<u64>(), any::<u64>()).prop_map(|(start, end)| Part::Range { start, end }),
    ];
    let id = (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}", any::<u64>());
    (id, part).prop_map(|((store, container, path, etag, size), part)| {
        ChunkKey::new(arc(ObjectId { store, container, path, etag, size }), part)
    })
}

/// A file of opaque bytes.
fn file(key: &ChunkKey, payload: &[u8]) -> Vec<u8> {
    let payload = arrow_buffer::Buffer::from_slice_ref(payload);
    let head = format::head(&key.encode(), 2, std::slice::from_ref(&payload)).unwrap();
    [&head[..], &payload].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn keys_are_told_apart_by_their_bytes(a in keys(), b in keys()) {
        prop_assert_eq!(&ChunkKey::decode(&a.encode()).unwrap(), &a);
        prop_assert_eq!(a == b, a.encode() == b.encode());
        testing::key(&a.encode());
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        testing::key(&bytes);
        testing::file(&bytes);
        testing::column(&bytes);
    }

    #[test]
    fn a_file_is_what_was_written(
        key in keys(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<usize>(),
        bit in 0..8_u32,
    ) {
        let mut bytes = file(&key, &payload);
        testing::file(&bytes);
        let layout = format::Layout::parse(&bytes).unwrap();
        prop_assert_eq!(layout.verify(&bytes).unwrap(), key.encode());
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        let read = format::Layout::parse(&bytes).and_then(|layout| layout.verify(&bytes).map(<[u8]>::to_vec));
        prop_assert!(read.is_err(), "byte {} was flipped", at);
    }
}
