#pragma once

#include "runtime/media/channel.h"

namespace bitpilot::media {

/// Serves a kSet request: kInfo, every picture as kFrame or kSkipped in order, then kEnd; or kFailed.
void serve_set(Channel& channel, const Message& request);

}  // namespace bitpilot::media
