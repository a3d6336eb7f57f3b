//! The card that tests run on.

use trishift_trainer::backend::cuda::CudaError;
use trishift_trainer::backend::cuda::card::Card;

/// The first card. Without one a test says so and passes, but where `TRISHIFT_REQUIRE_CARD` is set, it fails; a card that
/// cannot be used is a failure always.
pub(crate) fn first() -> Option<Card> {
    match Card::open(0) {
        Ok(card) => Some(card),
        Err(error @ (CudaError::NoDriver | CudaError::NoCard)) => {
            assert!(std::env::var_os("TRISHIFT_REQUIRE_CARD").is_none(), "a card is needed: {error}");
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
