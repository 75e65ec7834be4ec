//! Stable error codes. Each has a page `docs/errors/<CODE>.md`, which `flash explain <CODE>` prints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($variant:ident = $id:literal, $title:literal;)*) => {
        /// Project problems are FL1xx, this machine's FL2xx, calls' FL3xx, state's and providers' FL4xx.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[serde(rename = $id)] $variant,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// One line that says what kind of problem it is.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    SyntaxError = "FL101", "Python syntax error";
    UnreadableFile = "FL102", "source file cannot be read";
    UnresolvedResource = "FL103", "resource configuration cannot be resolved";
    UnresolvedValue = "FL104", "value cannot be resolved";
    UnknownArgument = "FL105", "unknown argument";
    InvalidName = "FL106", "invalid name";
    MissingRoute = "FL107", "load-balanced function without method or path";
    InvalidMethod = "FL108", "invalid HTTP method";
    InvalidPath = "FL109", "invalid HTTP path";
    ReservedPath = "FL110", "reserved HTTP path";
    RouteConflict = "FL111", "two functions on one route";
    DuplicateFunction = "FL112", "duplicate function name";
    DuplicateResource = "FL113", "duplicate resource name";
    InvalidValue = "FL114", "value out of range";
    IgnoredRoute = "FL115", "route on a queue resource";
    NestedFunction = "FL116", "decorated function not at module level";
    UnknownMember = "FL117", "unknown member";
    NoFunctions = "FL118", "no decorated functions";
    MissingPathParameter = "FL119", "path parameter that the function lacks";
    InvalidRequirement = "FL120", "invalid requirement";
    CallCycle = "FL121", "functions that call each other in a circle";
    InvalidCall = "FL122", "call that does not fit the function";
    UnreachableFunction = "FL123", "function that nobody can reach";
    NoMethod = "FL124", "class without a public method";
    LeftOutModule = "FL125", "needed module left out of the artifact";
    UnfoundModule = "FL126", "relative import that leads nowhere";
    ImageNotDeployed = "FL127", "endpoint with an image of its own";
    SimilarNames = "FL128", "resource names that are hard to tell apart";
    RequirementConflict = "FL130", "requirements exclude each other";
    ArtifactTooLarge = "FL131", "artifact too large";
    PackagesNotInstalled = "FL132", "packages cannot be installed for the target";
    ProbeDisagrees = "FL133", "running the project shows something else";
    ReservedFile = "FL134", "project file in the place of one that the build makes";
    UnsupportedPython = "FL135", "unsupported target Python";
    FileNotPacked = "FL136", "file cannot be packed";

    PythonNotFound = "FL201", "Python not found";
    PythonTooOld = "FL202", "Python too old";
    InstallFailed = "FL203", "package installation failed";
    PortInUse = "FL204", "port in use";
    AlreadyRunning = "FL205", "project already running";
    ProjectNotFound = "FL206", "project not found";
    NotRunning = "FL207", "no running project";
    NotReady = "FL208", "endpoint did not become ready";
    NoGpu = "FL209", "no GPU on this machine";
    NoLogs = "FL210", "no logs here";

    NoRoute = "FL301", "no such route";
    MethodNotAllowed = "FL302", "method not allowed";
    NotMothership = "FL303", "only the mothership serves this";
    WorkerDied = "FL304", "worker died during the call";
    UserException = "FL305", "user code raised an exception";
    ResultNotSerializable = "FL306", "result cannot be serialised";
    UnknownFunction = "FL307", "unknown function";
    Unauthorized = "FL308", "token needed";
    Overloaded = "FL309", "no worker free in time";
    ExecutionTimeout = "FL310", "execution time-out";
    InvalidBody = "FL311", "invalid request body";
    WorkerStartFailed = "FL312", "worker cannot start";
    ForbiddenOrigin = "FL313", "host or origin not allowed";
    JobNotFound = "FL314", "job not found";
    UnknownEndpoint = "FL315", "unknown endpoint";
    EndpointUnreachable = "FL316", "endpoint unreachable";
    PayloadTooLarge = "FL317", "payload too large";
    InvalidArguments = "FL318", "arguments do not fit the function";
    IdempotencyKeyTaken = "FL319", "idempotency key taken by another job";
    UpgradeRefused = "FL321", "connection cannot be upgraded";

    StateConflict = "FL401", "state has moved";
    StoreFailed = "FL402", "state store failed";
    ProviderFailed = "FL403", "provider failed";
    LeaseHeld = "FL404", "somebody else holds the lease";
    LeaseLost = "FL405", "lease lost";
    StateNotEmpty = "FL406", "state still has resources";
    StateNotFound = "FL407", "no such state";
    StateUrl = "FL408", "state URL cannot be used";
    NotRestored = "FL409", "state not restored";
    InvalidPlanFile = "FL410", "plan file cannot be used";
    NotConverged = "FL411", "not everything became ready";
    CodeIsAnother = "FL412", "generation had other code";
    UnknownGeneration = "FL413", "no such generation";
    InsideEndpoint = "FL414", "mothership inside an endpoint";
    NoConsent = "FL415", "deletion without consent";
    TestFailed = "FL416", "endpoint did not pass the test";
    ChildIsMothership = "FL420", "endpoint that would be a mothership";
    Drifted = "FL421", "endpoint changed by somebody else";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}
