//! Random tests: `OPENCLAW_SEED=<n>` replays one history, `OPENCLAW_SEEDS=<n>` runs that many.

/// Runs a history for each of `count` seeds, unless the environment says otherwise; says which one has failed.
pub fn each_seed(count: u64, history: fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("OPENCLAW_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OPENCLAW_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| history(seed)) {
            eprintln!("replay with OPENCLAW_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
