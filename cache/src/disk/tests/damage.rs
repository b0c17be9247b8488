//! Damaged files are misses, never wrong values.

use std::fs;

use super::*;

/// Damages the file of column 0 and reads on: the value is right, and the bad file is counted and
/// replaced by a good one.
async fn survives(tier: &DiskTier<Origin>, damage: impl FnOnce(&mut Vec<u8>), what: &str) {
    let path = tier.store().path(&key(0));
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    damage(&mut bytes);
    overwrite(&path, &bytes);
    let before = tier.store().snapshot();
    fetch(tier, &columns(&[0])).await;
    let seen = tier.store().snapshot();
    assert_eq!(seen.corrupt, before.corrupt + 1, "{what}");
    assert_eq!((seen.hits, seen.misses), (before.hits, before.misses + 1), "{what}");
    assert!(fs::read(&path).unwrap() == good, "{what}");
}

#[tokio::test]
async fn no_flipped_byte_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let origin = FaultSource::new(Synthetic { rows: 3 });
    let tier = DiskTier::new(origin, open(folder.path()).await);
    let wanted = columns(&[0]);
    let expected = tier.fetch(&wanted).await.unwrap();
    tier.store().flush().await;
    let path = tier.store().path(&key(0));
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        overwrite(&path, &bytes);
        assert_eq!(tier.fetch(&wanted).await.unwrap(), expected, "byte {at}");
        tier.store().flush().await;
        assert_eq!(tier.store().snapshot().corrupt, at as u64 + 1, "byte {at}");
    }
    assert_eq!(tier.fetch(&wanted).await.unwrap(), expected);
    assert_eq!(tier.store().snapshot().hits, 1);
}

#[tokio::test]
async fn cut_padded_and_zeroed_files_are_misses() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    for length in [0, 1, 63, 64, 65, 127, 128, 1000, 8000] {
        survives(&tier, |bytes| bytes.truncate(length), &format!("cut to {length}")).await;
    }
    survives(&tier, |bytes| bytes.push(0), "one byte more").await;
    survives(&tier, |bytes| bytes.extend_from_within(..), "twice").await;
    survives(&tier, |bytes| bytes.fill(0), "zeroed").await;
    survives(&tier, |bytes| bytes[64..].fill(0), "zeroed but for the header").await;
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 2).await;
    let [a, b] = [0, 1].map(|column| tier.store().path(&key(column)));
    let swap = folder.path().join("swap");
    fs::rename(&a, &swap).unwrap();
    fs::rename(&b, &a).unwrap();
    fs::rename(&swap, &b).unwrap();
    fetch(&tier, &columns(&[0, 1])).await;
    let seen = tier.store().snapshot();
    assert_eq!((seen.corrupt, seen.misses), (2, 4));
    fetch(&tier, &columns(&[0, 1])).await;
    assert_eq!(tier.store().snapshot().hits, 2);
}

#[tokio::test]
async fn a_file_that_vanished_is_a_miss_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    fs::remove_file(tier.store().path(&key(0))).unwrap();
    fetch(&tier, &columns(&[0])).await;
    let seen = tier.store().snapshot();
    assert_eq!((seen.corrupt, seen.misses, seen.writes, seen.bytes), (0, 2, 2, FILE));
}

/// Bytes whose checksum is right and which are no Arrow stream: what a bug of ours would write.
#[tokio::test]
async fn a_valid_frame_around_hostile_bytes_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tier) = filled(folder.path(), 1).await;
    let path = tier.store().path(&key(0));
    let good = fs::read(&path).unwrap();
    let start = (64 + key(0).encode().len()).next_multiple_of(64);
    for at in (0..good.len() - start).step_by(7) {
        let mut payload = good[start..].to_vec();
        payload[at] ^= 0xff;
        let payload = [arrow_buffer::Buffer::from_vec(payload)];
        let head = super::super::format::head(&key(0).encode(), 1, &payload).unwrap();
        overwrite(&path, &[&head[..], &payload[0]].concat());
        // A flipped value is a value: only the frame could have told. Nothing may panic.
        tier.fetch(&columns(&[0])).await.unwrap();
        tier.store().flush().await;
    }
    let seen = tier.store().snapshot();
    assert!(seen.corrupt > 0 && seen.hits > 0, "{seen:?}");
}
