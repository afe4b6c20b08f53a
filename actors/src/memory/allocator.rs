//! How the C library hands out memory and takes it back. Elsewhere than in glibc nothing is known and nothing is done.
#![cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "three calls of the C library that touch nothing of ours"))]

/// Bounds the pools of free memory; to be called before the first thread is started.
///
/// By default there are eight for each core. What one thread frees is free for its own pool only, so a process whose work
/// moves from thread to thread grows until each pool has seen the worst of its hours: tens of megabytes in one hour of load,
/// and more in the next.
pub fn bound_pools() {
    #[cfg(target_env = "gnu")]
    // SAFETY: two numbers; one that the library does not know is refused by it.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives free pages back to the kernel. Blocking, for some milliseconds; whoever allocates meanwhile may wait for it.
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
        bound_pools();
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
