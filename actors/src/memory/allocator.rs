//! What the C library keeps of freed memory, and how it lets that go. Elsewhere than in glibc nothing is known and nothing done.
//!
//! It has a pool for each thread, and what one thread frees is free for its own pool only: a process whose work moves from thread
//! to thread grows until each pool has seen the worst of its hours. Fewer pools (`M_ARENA_MAX`) keep it small as well, but
//! threads then wait for each other: with two, a flood of requests was answered half as fast.
#![cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "two calls of the C library that touch nothing of ours"))]

/// Gives free pages of every pool back to the kernel. Blocking, for some milliseconds; whoever allocates meanwhile may wait for it.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the library takes its own locks; nothing that is in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes that are in use.
pub fn in_use() -> Option<u64> {
    #[cfg(target_env = "gnu")]
    // SAFETY: the library counts under its own locks.
    let info = unsafe { libc::mallinfo2() };
    #[cfg(target_env = "gnu")]
    return u64::try_from(info.uordblks.saturating_add(info.hblkhd)).ok();
    #[cfg(not(target_env = "gnu"))]
    None
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::super::usage;
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn what_was_freed_goes_back_to_the_kernel() {
        let idle = in_use().unwrap();
        let mut pieces: Vec<Box<[u8]>> = (0..64 * 1024).map(|_| vec![1; 1024].into_boxed_slice()).collect();
        assert!(in_use().unwrap() >= idle + 64 * MB);
        let last = pieces.pop(); // the last page of the heap stays in use, so that nothing is given back by itself
        drop(pieces);
        assert!(in_use().unwrap() <= idle + MB);
        let before = usage::now().unwrap().anonymous;
        give_back();
        let after = usage::now().unwrap().anonymous;
        assert!(after + 48 * MB <= before, "{before} to {after}");
        drop(last);
    }
}
