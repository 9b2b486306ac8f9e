//! `ablate serve` as a process: killed while clients log, started again, and looked at with the other commands.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::Workbench;

/// A server, killed when dropped.
pub struct Server {
    process: Child,
    pub address: String,
}

impl Server {
    fn start(workbench: &Workbench, port: &str) -> Self {
        Self::with(workbench, &["serve", "--port", port])
    }

    pub fn with(workbench: &Workbench, words: &[&str]) -> Self {
        let mut command = workbench.command(words);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().rsplit("http://").next().unwrap().to_owned();
        Self { process, address }
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a server answers; `None` when it is not there, or dies before the end.
pub fn ask(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}

fn post(address: &str, endpoint: &str, body: &Value) -> Option<Value> {
    let (status, answer) = ask(address, "POST", &format!("/api/2.0/mlflow/{endpoint}"), &body.to_string())?;
    assert_eq!(status, 200, "{endpoint}: {answer}");
    Some(answer)
}

/// Four clients log while the server is killed and started again, twice: everything that it answered to is there.
#[test]
fn nothing_that_was_acknowledged_is_lost() {
    const CLIENTS: usize = 4;
    let workbench = Workbench::tiny("");
    let first = Server::start(&workbench, "0");
    let (address, port) = (first.address.clone(), first.port().to_owned());
    let mut server = Some(first);
    let experiment = post(&address, "experiments/create", &json!({ "name": "guests" })).unwrap();
    let runs: Vec<String> = (0..CLIENTS)
        .map(|_| {
            let run = post(&address, "runs/create", &json!({ "experiment_id": experiment["experiment_id"] })).unwrap();
            run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
        })
        .collect();
    let is_over = AtomicBool::new(false);
    let acknowledged: Vec<i64> = thread::scope(|scope| {
        let clients: Vec<_> = runs
            .iter()
            .map(|run| {
                let (address, is_over) = (&address, &is_over);
                scope.spawn(move || {
                    let mut step = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let body = json!({ "run_id": run, "key": "m", "value": step, "timestamp": step, "step": step });
                        match post(address, "runs/log-metric", &body) {
                            Some(_) => step += 1,
                            None => thread::sleep(std::time::Duration::from_millis(5)),
                        }
                    }
                    step
                })
            })
            .collect();
        for _ in 0..2 {
            thread::sleep(std::time::Duration::from_millis(300));
            drop(server.take());
            server = Some(Server::start(&workbench, &port));
        }
        thread::sleep(std::time::Duration::from_millis(300));
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(acknowledged.iter().all(|count| *count > 0), "{acknowledged:?}");
    for (run, count) in runs.iter().zip(&acknowledged) {
        let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=m");
        let (_, history) = ask(&address, "GET", &path, "").unwrap();
        let steps: Vec<i64> =
            history["metrics"].as_array().unwrap().iter().map(|m| m["step"].as_i64().unwrap()).collect();
        // What was written and not answered to before the server died may be there too: it was sent again, and is one.
        assert!(steps.len() as i64 - count <= 1 && steps.iter().take(*count as usize).copied().eq(0..*count), "{run}");
    }
    let rows = workbench.json("list guests --json", "ablate-list-1")["runs"].as_array().unwrap().clone();
    assert_eq!(rows.len(), CLIENTS);
    assert!(rows.iter().all(|row| row["state"] == "running"), "the server holds their leases");
    drop(server);
    let rows = workbench.json("list guests --json", "ablate-list-1")["runs"].as_array().unwrap().clone();
    assert!(rows.iter().all(|row| row["state"] == "lost"));
    let checked = workbench.run("fsck");
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
}

#[test]
fn a_server_that_everybody_could_reach_is_not_started() {
    let workbench = Workbench::tiny("");
    for (line, said) in [
        ("serve --host 0.0.0.0 --port 0", "give a token with --token or ABLATE_TOKEN"),
        ("serve --host 0.0.0.0 --port 0 --token short", "a token has 8 characters at least"),
        ("serve --lost-after 0", "a number of minutes above 0"),
        ("serve --read-only --port 0", "there is no run store"),
    ] {
        let output = workbench.run(line);
        assert_eq!(output.code, Some(2), "{line}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{line}: {}", output.stderr);
    }
    let server = Server::start(&workbench, "0");
    let taken = workbench.run(&format!("serve --port {}", server.port()));
    assert_eq!(taken.code, Some(2), "{}", taken.stderr);
    assert!(taken.stderr.contains("cannot listen on 127.0.0.1:"), "{}", taken.stderr);
}
