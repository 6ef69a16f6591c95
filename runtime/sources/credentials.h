#pragma once

#include <string>

namespace bitpilot {

/// An address as it may be written down: without user, password, query and fragment.  Anything that is no address comes
/// back as it is.
std::string without_credentials(const std::string& address);

}  // namespace bitpilot
