#pragma once

#include "runtime/media/channel.h"

namespace bitpilot::media {

/// Sets what OpenCV's and libav's libraries read from the environment: pixel limits, silence (their messages hold
/// addresses with credentials), no decoders that load further files.  Some of it is read when the libraries are loaded:
/// true if the program must start anew for that.
bool prepare_environment();

/// Serves a kStream request: every frame, then kEnd; or kFailed.  A file may open no address and no other container
/// than a video's, an address no file, no playlist and no other kind of protocol.
void serve_stream(Channel& channel, const Message& request);

}  // namespace bitpilot::media
