//! Which process holds a right, as others can tell it: exactly on the same machine, not at all from another.

use serde::{Deserialize, Serialize};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// What people call its machine.
    pub host: String,
    pub pid: u32,
    /// Since when the machine runs and which processes it sees: processes of one `machine` can tell whether others of it live.
    /// Empty where that is not known.
    machine: String,
    /// When the process began, so that another one that got its number is not taken for it.
    started: String,
}

impl Holder {
    /// This process.
    pub fn this() -> Self {
        let pid = std::process::id();
        let started = started(pid).unwrap_or_default();
        Self { host: host(), pid, machine: machine().filter(|_| !started.is_empty()).unwrap_or_default(), started }
    }

    /// Whether the process lives, suspended or not; `None` where it cannot be told from this machine.
    pub fn is_alive(&self) -> Option<bool> {
        let here = machine().filter(|here| *here == self.machine);
        here.map(|_| started(self.pid).is_some_and(|started| started == self.started))
    }

    #[cfg(test)]
    pub fn elsewhere(host: &str) -> Self {
        Self { host: host.to_owned(), pid: 1, machine: format!("the machine {host}"), started: "1".to_owned() }
    }
}

fn host() -> String {
    #[cfg(unix)]
    {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
    #[cfg(not(unix))]
    {
        String::new()
    }
}

/// The boot of this machine and the namespace of its processes; containers on one machine do not see each other's.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), processes.display()))
}

/// When a process that lives began, in the kernel's ticks (proc(5): field 22 of `stat`); `None` when there is none.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // One that ended and was not waited for.
    let ended = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?;
    (!ended).then(|| started.to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_of_its_number() {
        let this = Holder::this();
        assert_eq!((this.is_alive(), this.pid), (Some(true), std::process::id()));
        assert_eq!(Holder { started: "1".to_owned(), ..this.clone() }.is_alive(), Some(false));
        assert_eq!(Holder::elsewhere("b").is_alive(), None);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let holder = Holder { pid, started: started(pid).unwrap(), ..this };
        assert_eq!(holder.is_alive(), Some(true));
        child.kill().unwrap();
        // Until somebody waits for it, its number is taken.
        while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(holder.is_alive(), Some(false));
        child.wait().unwrap();
        assert_eq!(holder.is_alive(), Some(false));
    }
}
