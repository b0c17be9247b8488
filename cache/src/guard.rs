//! Where bytes nobody vouches for are decoded: a decoder that panics on them fails that one read.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static GUARDED: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work`; `None` if it panics. What it has borrowed mutably must not be used after that.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    GUARDED.set(GUARDED.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(GUARDED.get() - 1);
    done.ok()
}

/// Whether a panic on this thread would be caught by [`guarded`] and told as an error: for a panic
/// hook, which runs before anything unwinds.
pub fn is_guarded() -> bool {
    GUARDED.get() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_end_at_the_guard() {
        assert!(!is_guarded());
        assert_eq!(guarded(|| guarded(|| panic!("inner")).is_none() && is_guarded()), Some(true));
        assert_eq!(guarded(|| -> usize { panic!("outer") }), None);
        assert!(!is_guarded());
    }
}
