pub(crate) struct JointMatcher;
pub(crate) struct Registration;
