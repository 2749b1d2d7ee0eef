//! The protocol's server side.
//!
//! Owns: what the server says about itself, the list of tools and finding one.
//! Promises: listed names use only letters and underscores; dotted names are
//! understood. Leaves to others: transports (`stdio`) and tools (`tools`).

use std::sync::Arc;
use std::time::Instant;

use maasl_core::id::SessionId;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::identity::EnvIdentity;
use super::invoke::{Incoming, Run};
use super::tools;

/// Of the name of a tool that is not known, so many characters are repeated.
const NAME_CHARS_SHOWN: usize = 100;

/// Told to every agent that connects.
const INSTRUCTIONS: &str = "\
MAASL keeps agents that work on the same files from overwriting each other. Use its file tools \
instead of your own for every file that another agent may touch.
- read_file a file before you change it; then edit_file (preferred) or write_file. A change is \
accepted only if the file is still what you read.
- `stale_version`: somebody changed the file since. read_file again and redo your change on what \
is there now; never write your old text back.
- `resource_busy`: somebody is changing it. Retry after the given time, pass a larger max_wait_ms, \
or work on something else meanwhile.
- Several files that must change together: refactor_file, all or nothing.
- Work over several calls that nobody may interrupt: lease_acquire everything at once, pass its \
`lease` in each call, lease_renew before it expires, lease_release when done.
- If several agents share this connection, each passes its own name as `agent`, always the same.
- A refusal has changed nothing and its `hint` says what to do next. file_history and file_restore \
bring back earlier versions.";

/// Names that other tools used before these, understood and not listed.
const ALIASES: [(&str, &str); 3] = [
    ("llmc.locks", "llmc_locks"),
    ("llmc.stomp_stats", "llmc_stomp_stats"),
    ("llmc.docgen_status", "llmc_docgen_status"),
];

/// What all calls of one connection share.
pub(crate) struct Shared<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) env: EnvIdentity,
    /// Tells anonymous clients apart.
    pub(crate) connection: SessionId,
    /// Fires when nothing more can come from the client.
    pub(crate) ended: CancellationToken,
    pub(crate) started: Instant,
    tools: Vec<Entry<B>>,
}

/// A tool that is offered.
pub(crate) struct Entry<B> {
    pub(crate) tool: Tool,
    pub(crate) run: Run<B>,
}

/// The MCP server of one connection.
pub struct Adapter<B> {
    shared: Arc<Shared<B>>,
}

impl<B: Backend> Adapter<B> {
    /// A server over `backend`, whose waits end when `ended` fires.
    #[must_use]
    pub fn new(backend: Arc<B>, env: EnvIdentity, ended: CancellationToken) -> Self {
        let shared = Shared {
            env,
            connection: backend.session().clone(),
            ended,
            started: Instant::now(),
            tools: tools::all(),
            backend,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry<B>> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name, |(_, name)| name);
        self.shared
            .tools
            .iter()
            .find(|entry| entry.tool.name == name)
    }
}

impl<B> Clone for Adapter<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<B: Backend> ServerHandler for Adapter<B> {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("maasl", env!("CARGO_PKG_VERSION"))
            .with_title("MAASL, the Multi-Agent Anti-Stomp Layer");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.shared.tools.iter().map(|entry| entry.tool.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.entry(name).map(|entry| entry.tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = self.entry(&request.name) else {
            let name: String = request.name.chars().take(NAME_CHARS_SHOWN).collect();
            let message = format!("unknown tool {name:?}");
            return Err(ErrorData::invalid_params(message, None));
        };
        let call = Incoming {
            shared: Arc::clone(&self.shared),
            schema: Arc::clone(&entry.tool.input_schema),
            arguments: request.arguments.unwrap_or_default(),
            context,
        };
        Ok((entry.run)(call).await.into())
    }
}
