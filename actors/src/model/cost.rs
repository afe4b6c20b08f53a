//! What a model call costs.

use super::message::{Cost, Usage};
use crate::config::settings::ModelCost;

/// Sets the cost, USD, from prices per million tokens, and the total of tokens. A price of 0 is unknown and adds nothing.
pub fn cost(prices: &ModelCost, usage: &mut Usage) {
    let price = |tokens: u64, per_million: f64| tokens as f64 * per_million / 1_000_000.0;
    let (input, output) = (price(usage.input, prices.input), price(usage.output, prices.output));
    let cache_read = price(usage.cache_read, prices.cache_read);
    let cache_write = price(usage.cache_write, prices.cache_write);
    usage.cost = Cost { input, output, cache_read, cache_write, total: input + output + cache_read + cache_write };
    usage.total_tokens = usage.prompt_tokens() + usage.output;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_token_has_its_price() {
        let prices = ModelCost { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 0.0 };
        let mut usage = Usage { input: 1_000_000, output: 200_000, cache_read: 10, cache_write: 7, ..Usage::default() };
        cost(&prices, &mut usage);
        assert_eq!(usage.cost.input, 3.0);
        assert_eq!(usage.cost.output, 3.0);
        assert!((usage.cost.cache_read - 0.000_003).abs() < 1e-12);
        assert_eq!(usage.cost.cache_write, 0.0);
        assert!((usage.cost.total - 6.000_003).abs() < 1e-9);
        assert_eq!(usage.total_tokens, 1_200_017);
    }
}
