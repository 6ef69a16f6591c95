#pragma once

#include <span>

#include "runtime/engine/plan.h"
#include "runtime/engine/thread_pool.h"

namespace bitpilot {

/// Runs the tasks of a plan in order, each split among the pool's threads; a single one takes chains as such.  The
/// integers are the same for any number of threads.  `every_value`: what stands between the tasks of a chain is wanted
/// whole too.
void run_plan(const Kernels& kernels, ThreadPool& pool, const Plan& plan, bool every_value = false);
/// The same with a clock: adds to seconds[layer] what that layer's tasks took (copies, pools and changes of code
/// included).
void time_plan(const Kernels& kernels, ThreadPool& pool, const Plan& plan, std::span<double> seconds);

/// Seconds of one layer's tasks, the mean of `times` repetitions.
double time_layer_of(const Kernels& kernels, ThreadPool& pool, const Plan& plan, int layer, int times);

}  // namespace bitpilot
