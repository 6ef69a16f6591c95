#pragma once

namespace bitpilot::media {

/// Answers bitpilot's requests until it goes away.  Throws Error(kUsage) when nobody is at the other end.
[[noreturn]] void serve();

}  // namespace bitpilot::media
