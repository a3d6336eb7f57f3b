//! What a launcher says about a process, in variables of its environment.
//!
//! Three families are understood, the first that speaks is believed: torchrun's (`RANK` …), which [`launch()`](super::launch())
//! sets too; Open MPI's; Slurm's, for tasks that srun started. An empty variable counts as not set. What is said by halves or
//! contradicts itself is an error and not a guess: a rank that trains alone by mistake would overwrite the others' run.

use thiserror::Error;

/// Port of rank 0 where nothing names one.
pub const DEFAULT_PORT: u16 = 29400;

/// From here on Slurm's numbers of steps are no tasks of srun's but shells: batch scripts, interactive ones.
const FIRST_SLURM_SHELL: u64 = 0xffff_fff0;

/// A process among those of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 0.
    pub rank: usize,
    /// Processes of the run.
    pub world: usize,
    /// Its number among those of its machine: the card it takes.
    pub local_rank: usize,
    /// `host:port` at which rank 0 waits for the others; `None` in a world of 1.
    pub address: Option<String>,
}

/// Why variables make no place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Not a whole number.
    #[error("{variable} is {value:?}; a whole number is needed")]
    Number {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
    },
    /// Some of the launcher's variables are there.
    #[error("{present} is set, {missing} is not; a launcher sets both, and to train alone neither may be set")]
    Missing {
        /// One that is there.
        present: &'static str,
        /// One that is not.
        missing: &'static str,
    },
    /// No processes.
    #[error("{variable} is 0; a run has 1 process or more")]
    Empty {
        /// The variable with their number.
        variable: &'static str,
    },
    /// A number beyond the last.
    #[error("{variable} is {value}, but {limit_variable} is {limit}: numbers go from 0 to {}", limit - 1)]
    Beyond {
        /// The variable with the number.
        variable: &'static str,
        /// The number.
        value: usize,
        /// The variable with the number of processes.
        limit_variable: &'static str,
        /// The number of processes.
        limit: usize,
    },
    /// Not a port.
    #[error("MASTER_PORT is {value:?}; a port from 1 to {last} is needed", last = if *agent { 65534 } else { 65535 })]
    Port {
        /// What it holds.
        value: String,
        /// Torchrun listens there itself; the port after it is used.
        agent: bool,
    },
    /// Several machines, and nothing says where rank 0 is.
    #[error("the run has {world} processes on several machines; set MASTER_ADDR to the name of rank 0's machine")]
    Address {
        /// Processes of the run.
        world: usize,
    },
}

/// The names under which a launcher says its three numbers.
struct Family {
    rank: &'static str,
    world: &'static str,
    local_rank: &'static str,
}

const TORCHRUN: Family = Family { rank: "RANK", world: "WORLD_SIZE", local_rank: "LOCAL_RANK" };

const OPEN_MPI: Family =
    Family { rank: "OMPI_COMM_WORLD_RANK", world: "OMPI_COMM_WORLD_SIZE", local_rank: "OMPI_COMM_WORLD_LOCAL_RANK" };

/// An allocation of more tasks than srun was asked to start leaves `SLURM_NTASKS` as it is, in some versions.
const SLURM: Family = Family { rank: "SLURM_PROCID", world: "SLURM_STEP_NUM_TASKS", local_rank: "SLURM_LOCALID" };

const OLD_SLURM: Family = Family { world: "SLURM_NTASKS", ..SLURM };

impl Place {
    /// The place that variables give this process; `None` where no launcher speaks.
    ///
    /// # Errors
    /// [`PlaceError`] names the variable that is missing or wrong.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, PlaceError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let speaks =
            |family: &Family| [family.rank, family.world, family.local_rank].iter().any(|name| get(name).is_some());
        let family = if speaks(&TORCHRUN) {
            TORCHRUN
        } else if speaks(&OPEN_MPI) {
            OPEN_MPI
        } else if let Some(slurm) = slurm(&get) {
            slurm
        } else {
            return Ok(None);
        };
        let (rank, world, local_rank) = family.numbers(&get)?;
        let address = if world == 1 { None } else { Some(address(&family, world, &get)?) };
        Ok(Some(Self { rank, world, local_rank, address }))
    }
}

impl Family {
    fn numbers(&self, get: &impl Fn(&str) -> Option<String>) -> Result<(usize, usize, usize), PlaceError> {
        let names = [self.rank, self.world, self.local_rank];
        if let (Some(&present), Some(&missing)) =
            (names.iter().find(|name| get(name).is_some()), names.iter().find(|name| get(name).is_none()))
        {
            return Err(PlaceError::Missing { present, missing });
        }
        let [rank, world, local_rank] = names.map(|variable| number(variable, get));
        let (rank, world, local_rank) = (rank?, world?, local_rank?);
        if world == 0 {
            return Err(PlaceError::Empty { variable: self.world });
        }
        for (variable, value) in [(self.rank, rank), (self.local_rank, local_rank)] {
            if value >= world {
                return Err(PlaceError::Beyond { variable, value, limit_variable: self.world, limit: world });
            }
        }
        Ok((rank, world, local_rank))
    }
}

fn number(variable: &'static str, get: &impl Fn(&str) -> Option<String>) -> Result<usize, PlaceError> {
    let value = get(variable).unwrap_or_default();
    value.parse().map_err(|_| PlaceError::Number { variable, value })
}

/// The variables of a process that srun started beside others. In a batch script and in a shell of salloc's those of all tasks
/// are set as well, but nobody started the others.
fn slurm(get: &impl Fn(&str) -> Option<String>) -> Option<Family> {
    let step = get("SLURM_STEP_ID").or_else(|| get("SLURM_STEPID"))?;
    let is_task = step.parse().is_ok_and(|step: u64| step < FIRST_SLURM_SHELL) && get(SLURM.rank).is_some();
    let family = if get(SLURM.world).is_some() { SLURM } else { OLD_SLURM };
    (is_task && get(family.world)? != "1").then_some(family)
}

fn address(family: &Family, world: usize, get: &impl Fn(&str) -> Option<String>) -> Result<String, PlaceError> {
    let of_slurm = || {
        let nodes = get("SLURM_STEP_NODELIST").or_else(|| get("SLURM_JOB_NODELIST"))?;
        (family.rank == SLURM.rank).then(|| first_host(&nodes)).flatten()
    };
    let of_one_machine = || {
        let local = get("LOCAL_WORLD_SIZE").or_else(|| get("OMPI_COMM_WORLD_LOCAL_SIZE"))?;
        (local.parse() == Ok(world)).then(|| "127.0.0.1".to_owned())
    };
    let host = get("MASTER_ADDR").or_else(of_slurm).or_else(of_one_machine).ok_or(PlaceError::Address { world })?;
    let port = port(family, get)?;
    // Colons within a host are those of IPv6.
    Ok(if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn port(family: &Family, get: &impl Fn(&str) -> Option<String>) -> Result<u16, PlaceError> {
    let Some(value) = get("MASTER_PORT") else {
        // Jobs of Slurm's may share a machine.
        let job: Option<u64> =
            get("SLURM_JOB_ID").filter(|_| family.rank == SLURM.rank).and_then(|job| job.parse().ok());
        return Ok(DEFAULT_PORT + (job.unwrap_or(0) % 1000) as u16);
    };
    // Torchrun's own store listens on the port that it names.
    let agent = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|answer| answer == "True");
    let port = value.parse().ok().and_then(|port: u16| port.checked_add(u16::from(agent))).filter(|port| *port > 0);
    port.ok_or(PlaceError::Port { value, agent })
}

/// The first of the hosts that Slurm writes as `node[003-010,12],other`.
fn first_host(nodes: &str) -> Option<String> {
    let end = nodes.find([',', '[']).unwrap_or(nodes.len());
    let (name, rest) = nodes.split_at(end);
    let Some(numbers) = rest.strip_prefix('[') else { return Some(name.to_owned()).filter(|name| !name.is_empty()) };
    let (numbers, rest) = numbers.split_once(']')?;
    let first = numbers.split([',', '-']).next()?;
    // Some sites have two numbers in a name, or something after the number: rack[1-2]node[01-16], node[1-4]-ib.
    let tail = if rest.is_empty() || rest.starts_with(',') { String::new() } else { first_host(rest)? };
    Some(format!("{name}{first}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables written as `NAME=value NAME=value`.
    fn place(variables: &str) -> Result<Option<Place>, PlaceError> {
        let pairs: Vec<_> = variables.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        Place::from_variables(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[track_caller]
    fn expect(variables: &str, numbers: [usize; 3], address: impl Into<Option<&'static str>>) {
        let [rank, world, local_rank] = numbers;
        let address = address.into().map(str::to_owned);
        assert_eq!(place(variables), Ok(Some(Place { rank, world, local_rank, address })), "{variables}");
    }

    #[track_caller]
    fn refused(variables: &str, message: &str) {
        assert_eq!(place(variables).unwrap_err().to_string(), message, "{variables}");
    }

    #[test]
    fn nobody_speaks() {
        for variables in [
            "",
            "MASTER_ADDR=node1 MASTER_PORT=29500",
            "RANK= WORLD_SIZE= LOCAL_RANK=",
            // A batch script, a shell of salloc's, a single task.
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0 SLURM_JOB_NODELIST=a",
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0 SLURM_STEP_ID=4294967291",
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0 SLURM_STEP_ID=4294967290",
            "SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_STEP_ID=0",
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=1 SLURM_LOCALID=0 SLURM_STEP_ID=0",
        ] {
            assert_eq!(place(variables), Ok(None), "{variables}");
        }
    }

    #[test]
    fn torchrun_and_our_own() {
        let numbers = "RANK=9 WORLD_SIZE=16 LOCAL_RANK=1";
        expect(&format!("{numbers} MASTER_ADDR=node1 MASTER_PORT=29500"), [9, 16, 1], "node1:29500");
        expect(&format!("{numbers} MASTER_ADDR=node1"), [9, 16, 1], "node1:29400");
        expect(&format!("{numbers} MASTER_ADDR=fe80::1 MASTER_PORT=1"), [9, 16, 1], "[fe80::1]:1");
        let agent = "MASTER_ADDR=node1 MASTER_PORT=29500 TORCHELASTIC_USE_AGENT_STORE";
        expect(&format!("{numbers} {agent}=True"), [9, 16, 1], "node1:29501");
        expect(&format!("{numbers} {agent}=False"), [9, 16, 1], "node1:29500");
        expect("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2", [1, 2, 1], "127.0.0.1:29400");
        expect("RANK=0 WORLD_SIZE=1 LOCAL_RANK=0", [0, 1, 0], None);
        // Inside an allocation of Slurm's they go first.
        let slurm = "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_STEP_ID=0 SLURM_JOB_ID=7";
        expect(&format!("{slurm} {numbers} MASTER_ADDR=node1"), [9, 16, 1], "node1:29400");
    }

    #[test]
    fn open_mpi() {
        let numbers = "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=3";
        expect(&format!("{numbers} OMPI_COMM_WORLD_LOCAL_SIZE=4"), [3, 4, 3], "127.0.0.1:29400");
        expect(&format!("{numbers} OMPI_COMM_WORLD_LOCAL_SIZE=2 MASTER_ADDR=a"), [3, 4, 3], "a:29400");
        let several = "the run has 4 processes on several machines; set MASTER_ADDR to the name of rank 0's machine";
        refused(&format!("{numbers} OMPI_COMM_WORLD_LOCAL_SIZE=2"), several);
        refused(numbers, several);
    }

    #[test]
    fn slurm() {
        let numbers = "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_STEP_ID=0";
        let nodes = "SLURM_JOB_NODELIST=wrong SLURM_STEP_NODELIST=node[003-010,12],x";
        expect(&format!("{numbers} {nodes}"), [5, 8, 1], "node003:29400");
        expect(&format!("{numbers} {nodes} SLURM_JOB_ID=1234567"), [5, 8, 1], "node003:29967");
        expect(&format!("{numbers} {nodes} SLURM_JOB_ID=1234567 MASTER_PORT=4000"), [5, 8, 1], "node003:4000");
        expect(&format!("{numbers} SLURM_JOB_NODELIST=one,two MASTER_ADDR=two"), [5, 8, 1], "two:29400");
        expect(&format!("{numbers} SLURM_JOB_NODELIST=one,two"), [5, 8, 1], "one:29400");
        expect(&format!("{numbers} SLURM_STEP_NUM_TASKS=6 SLURM_JOB_NODELIST=one"), [5, 6, 1], "one:29400");
    }

    #[test]
    fn first_hosts() {
        for (nodes, first) in [
            ("a", "a"),
            ("a,b", "a"),
            ("n[7]", "n7"),
            ("n[12,3-4],m", "n12"),
            ("rack[1-2]node[01-16]", "rack1node01"),
            ("n[1-4]-ib,x", "n1-ib"),
            ("n-1.site", "n-1.site"),
        ] {
            assert_eq!(first_host(nodes).as_deref(), Some(first), "{nodes}");
        }
        for nodes in ["", ",", "n[1"] {
            assert_eq!(first_host(nodes), None, "{nodes}");
        }
    }

    #[test]
    fn errors_name_the_variable() {
        let both = "a launcher sets both, and to train alone neither may be set";
        refused("RANK=0", &format!("RANK is set, WORLD_SIZE is not; {both}"));
        refused("RANK=0 WORLD_SIZE=2", &format!("RANK is set, LOCAL_RANK is not; {both}"));
        refused("LOCAL_RANK=0 RANK= WORLD_SIZE=2", &format!("WORLD_SIZE is set, RANK is not; {both}"));
        refused("OMPI_COMM_WORLD_SIZE=2", &format!("OMPI_COMM_WORLD_SIZE is set, OMPI_COMM_WORLD_RANK is not; {both}"));
        let task = "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_STEP_ID=0";
        refused(task, &format!("SLURM_PROCID is set, SLURM_LOCALID is not; {both}"));
        refused("RANK=x WORLD_SIZE=2 LOCAL_RANK=0", "RANK is \"x\"; a whole number is needed");
        refused("RANK=0 WORLD_SIZE=-2 LOCAL_RANK=0", "WORLD_SIZE is \"-2\"; a whole number is needed");
        refused("RANK=0 WORLD_SIZE=0 LOCAL_RANK=0", "WORLD_SIZE is 0; a run has 1 process or more");
        let beyond = "but WORLD_SIZE is 2: numbers go from 0 to 1";
        refused("RANK=2 WORLD_SIZE=2 LOCAL_RANK=0", &format!("RANK is 2, {beyond}"));
        refused("RANK=0 WORLD_SIZE=2 LOCAL_RANK=4", &format!("LOCAL_RANK is 4, {beyond}"));
        let numbers = "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a";
        for port in ["0", "65536", "x"] {
            let message = format!("MASTER_PORT is {port:?}; a port from 1 to 65535 is needed");
            refused(&format!("{numbers} MASTER_PORT={port}"), &message);
        }
        let message = "MASTER_PORT is \"65535\"; a port from 1 to 65534 is needed";
        refused(&format!("{numbers} MASTER_PORT=65535 TORCHELASTIC_USE_AGENT_STORE=True"), message);
    }
}
