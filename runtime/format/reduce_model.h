#pragma once

#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// A layer whose anchors all use one weight width below 8 stores its codes at that width; inference is unchanged, code for code.
void pack_single_widths(ModelData* model);

/// Filters that no anchor computes leave graph, codes and calibration; every anchor computes, code for code, what it did.  The stem and the
/// layers that share its filters stay whole.  "Relative cost" then counts from the smaller network.
void drop_idle_filters(ModelData* model);

/// Layers of a model with one anchor keep one scale instead of one a filter: what a filter's scale is off the layer's goes into its channel
/// gain (which moves it by at most 0.55 %), and its offset follows.  A layer with a filter beyond the gains' reach (a sixteenth of the
/// layer's greatest) stays as it is; so does a model with several anchors.
void share_scales(ModelData* model);

/// The model with the named anchors only, in their order in the file.  The policy stays if every anchor stays, otherwise it is dropped with
/// its budget table (it was learned over all of them).  Packed as pack_single_widths does.  Throws Error(kUsage) naming the nearest anchor on an unknown name.
ModelData keep_anchors(const ModelData& model, const std::vector<std::string>& names);

}  // namespace bitpilot
