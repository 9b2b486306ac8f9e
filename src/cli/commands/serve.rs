//! `ablate serve`: the store for clients that log to it and programs that read it.

mod lent;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::execution::Commands;
use crate::cli::printer::Style;
use crate::server::{self, Executor, Options, ServeError};

/// What `ablate serve` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The address to listen on; beyond this machine a token is required
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// The port to listen on; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 5000)]
    pub port: u16,
    /// Show runs and change nothing
    #[arg(long)]
    pub read_only: bool,
    /// Let the page stop, resume and retry runs: it starts this program again, which goes on when the server ends
    #[arg(long)]
    pub execute: bool,
    /// What everybody must know who asks; better in the environment, where other users do not see it
    #[arg(long, value_name = "TOKEN", env = "ABLATE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// What stands before every path behind a proxy, as in --root-path /ablate
    #[arg(long, value_name = "PATH", default_value = "")]
    pub root_path: String,
    /// Names under which clients reach the server, beside those of this machine, as in --allow-hosts tracker.example,10.0.0.7
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    pub allow_hosts: Vec<String>,
    /// Minutes without a word from its client after which a run is lost; it is found again when the client says something
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = minutes)]
    pub lost_after: f64,
}

/// Serves the store until it is interrupted.
pub fn serve(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let options = Options {
        address: SocketAddr::new(arguments.host, arguments.port),
        token: arguments.token.clone().filter(|token| !token.is_empty()),
        is_read_only: arguments.read_only,
        root_path: arguments.root_path.clone(),
        hosts: arguments.allow_hosts.clone(),
        lost_after_secs: arguments.lost_after * 60.0,
        executor: arguments.execute.then(|| commands(context)).transpose()?,
        lent: Some(Arc::new(lent::Surroundings(context.clone()))),
    };
    options.check().map_err(CliError::request)?;
    let store = if arguments.read_only { context.existing_store()? } else { context.store()? };
    let ready = |address: SocketAddr| {
        let text =
            format!("{} at http://{address}{}", context.runs.display(), arguments.root_path.trim_end_matches('/'));
        context.printer.status(Style::Good, "Serving", text);
        if !arguments.read_only {
            let hint = format!("export MLFLOW_TRACKING_URI=http://{address}");
            context.printer.status(Style::Hint, "Log to it", hint);
        }
    };
    server::serve(store, &options, ready).map_err(|error| match error {
        ServeError::Io(_) => CliError::work(error),
        ServeError::NoToken | ServeError::WeakToken | ServeError::ReadOnlyExecutes | ServeError::Bind { .. } => {
            CliError::request(error)
        }
    })
}

fn commands(context: &Context) -> Result<Arc<dyn Executor>, CliError> {
    let commands = Commands::new(&context.runs, &context.data_root).map_err(CliError::work)?;
    Ok(Arc::new(commands))
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a number of minutes above 0".to_owned())
}
