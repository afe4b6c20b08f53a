//! How the C library hands out memory.

/// Pools that it may keep, whatever the number of cores.
const ARENAS: libc::c_int = 2;

/// Bounds the pools of free memory.
///
/// By default there are eight for each core. What one thread frees is free for its own pool only, so a process whose work
/// moves from thread to thread grows until each pool has seen the worst of its hours: tens of megabytes in one hour of load,
/// and more in the next. With two the same load keeps its size (`cargo test --test soak`), and the bench is as fast.
pub fn bound_pools() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "a call of the C library that takes two numbers and touches nothing of ours")]
    // SAFETY: before the first thread is started, as the manual asks; a number that it does not know is refused by it.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}
