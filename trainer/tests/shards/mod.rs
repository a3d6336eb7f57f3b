//! What the tests of shards and workers share: a network on the built-in digits whose batches are cut into shards.

use trishift_trainer::config::Config;
use trishift_trainer::data::Prepared;
use trishift_trainer::network::Network;
use trishift_trainer::rule::RuleName;
use trishift_trainer::run;

/// A network with its data.
pub(crate) struct Case {
    pub(crate) config: Config,
    pub(crate) data: Prepared,
    pub(crate) network: Network,
}

impl Case {
    /// Of these layers, learning by this rule from batches of `batch` samples in so many shards.
    pub(crate) fn new(layers: &str, rule: RuleName, batch: u32, shards: u32) -> Self {
        let text = format!(
            "name = 'workers'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\ntest = 0.3\n\
             [network]\ngroup = 8\nlayers = [{layers}]\n\
             [training]\nbatch = {batch}\nepochs = 2\nrule = '{rule}'\nshards = {shards}\n"
        );
        let config = Config::from_toml(&text, "").unwrap();
        let data = run::load(&config).unwrap();
        let network = Network::resolve(&config, data.train.shape, data.classes.len()).unwrap();
        Self { config, data, network }
    }
}

/// The rules under which shards vote.
pub(crate) fn rules() -> impl Iterator<Item = RuleName> {
    RuleName::ALL.into_iter().filter(|rule| *rule != RuleName::StraightThrough)
}
