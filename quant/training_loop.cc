#include "quant/training_loop.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <functional>
#include <numbers>
#include <thread>

#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {

using torch::Tensor;

namespace {

// Runs the jobs on `threads` threads (this one included), first come first served; rethrows the first failure.
void run_jobs(const std::vector<std::function<void()>>& jobs, int threads) {
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> failures(jobs.size());
  auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      try {
        jobs[i]();
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < std::min<int>(threads, static_cast<int>(jobs.size())); ++t) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

// One-cycle schedule with cosine annealing: peak/25 up to the peak, then down to peak/250000 (Smith & Topin, arXiv:1708.07120).
double one_cycle(double peak, double warmup, std::int64_t step, std::int64_t total) {
  const double at = static_cast<double>(step) / std::max<std::int64_t>(1, total - 1);
  auto cosine = [](double from, double to, double share) { return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * share)); };
  if (at < warmup) return cosine(peak / 25, peak, at / warmup);
  return cosine(peak, peak / 250000, std::min(1.0, (at - warmup) / (1 - warmup)));
}

// Loss of each picture, [N].
Tensor soft_cross_entropy(const Tensor& scores, const Tensor& target) { return -(target * torch::log_softmax(scores, 1)).sum(1); }

// What each pass shall hand out: free paths their imitated layers, the first trained path what any of them imitates.
std::vector<NormalizedOutputs> wanted_outputs(const std::vector<FreePath>& free, int jobs, int layers) {
  std::vector<NormalizedOutputs> outputs(jobs);
  const std::size_t named = outputs.size() - free.size();
  for (std::size_t j = 0; j < free.size(); ++j)
    for (const int layer : free[j].imitated)
      for (NormalizedOutputs* wanted : {&outputs[named + j], &outputs[0]}) {
        wanted->wanted.resize(layers, false);
        wanted->wanted[layer] = true;
      }
  return outputs;
}

// Sum over layers of the mean squared difference; a narrower pass is compared on its own filters.
Tensor distortion(const NormalizedOutputs& pass, const NormalizedOutputs& first) {
  Tensor sum = torch::zeros({1});
  for (std::size_t l = 0; l < pass.values.size(); ++l) {
    const Tensor& value = pass.values[l];
    if (value.defined()) sum = sum + (value - first.values[l].detach().narrow(1, 0, value.size(1))).square().mean();
  }
  return sum.squeeze();
}

// What `decide` says of the paths' scores, checked and without a way back into them.
Tensor checked_shares(const PathShares& decide, std::int64_t step, const std::vector<Tensor>& scores, const Tensor& labels) {
  torch::NoGradGuard guard;
  std::vector<Tensor> seen;
  for (const Tensor& s : scores) seen.push_back(s.detach());
  const Tensor shares = decide(step, seen, labels).detach();
  const bool shape = shares.dim() == 2 && shares.size(0) == static_cast<std::int64_t>(scores.size()) && shares.size(1) == labels.size(0);
  if (!shape || !(shares >= 0).all().item<bool>() || !((shares.sum(0) - 1).abs() < 1e-4).all().item<bool>())
    throw Error(ExitCode::kBug, "a picture's shares of the paths do not sum to 1", "step " + std::to_string(step), "report this");
  return shares;
}

}  // namespace

struct TrainingLoop::Impl {
  QuantizedNetwork* network;
  QuantizedNetwork* teacher;
  std::int64_t total_steps, steps = 0;
  TrainingOptions options;
  std::vector<std::string> names;
  std::vector<Tensor> parameters;
  std::vector<Tensor> first_moment, second_moment;
  std::vector<std::vector<std::size_t>> used_by;  // per path: indices of the parameters that its pass reads, stem apart
  std::vector<std::size_t> stem_parameters, all_but_stem;
  Tensor prepared_for, prepared;                  // teacher's distribution of the batch announced as `next`

  void split_parameters() {
    const std::string stem = network->network().layer(0).name + ".";
    used_by.resize(network->paths().size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].starts_with(stem) || names[i].starts_with("stem_norm.")) {
        stem_parameters.push_back(i);
        continue;
      }
      all_but_stem.push_back(i);
      for (std::size_t p = 0; p < used_by.size(); ++p) {
        const bool foreign = names[i].starts_with("path.") && !names[i].starts_with("path." + network->paths()[p].name + ".");
        if (!foreign) used_by[p].push_back(i);
      }
    }
  }

  Tensor teach(const Tensor& src) {
    torch::NoGradGuard guard;
    return torch::softmax(evaluate(teacher, 0, src), 1);
  }

  Tensor targets(const TrainingBatch& batch, const Tensor& soft) const {
    const Tensor hard = torch::one_hot(batch.labels, network->network().classes()).to(torch::kFloat);
    return soft.defined() ? options.label_share * hard + (1 - options.label_share) * soft : hard;
  }

  std::vector<FreePath> free_paths() const {
    std::vector<FreePath> list;
    for (int j = 0; j < options.random_paths; ++j) list.push_back(free_path(j));
    return list;
  }

  FreePath free_path(int number) const {
    const std::uint64_t index = static_cast<std::uint64_t>(steps) * options.random_paths + static_cast<std::uint64_t>(number);
    if (options.free_paths) return options.free_paths(index);
    return {random_config(network->network(), network->space(), network->paths(), options.seed, index), nullptr, {}};
  }

  void check_finite(const std::vector<Tensor>& gradients) const {
    for (std::size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined() && !gradients[i].isfinite().all().item<bool>())
        throw Error(ExitCode::kBug, "a gradient is not finite", "step " + std::to_string(steps) + ", " + names[i],
                    "lower the learning rate; the last checkpoint is good");
  }

  // Adam (arXiv:1412.6980) with the schedule's rate, on summed gradients.
  void update(const std::vector<Tensor>& gradients) {
    torch::NoGradGuard guard;
    check_finite(gradients);
    const double rate = one_cycle(options.learning_rate, options.warmup, steps, total_steps);
    ++steps;
    const double correct1 = 1 - std::pow(0.9, static_cast<double>(steps)), correct2 = 1 - std::pow(0.999, static_cast<double>(steps));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!gradients[i].defined()) continue;
      float *m = first_moment[i].data_ptr<float>(), *v = second_moment[i].data_ptr<float>(), *p = parameters[i].data_ptr<float>();
      const Tensor contiguous = gradients[i].contiguous();
      const float* g = contiguous.data_ptr<float>();
      const float scale = static_cast<float>(rate / correct1), root = static_cast<float>(1 / std::sqrt(correct2));
      for (std::int64_t j = 0; j < parameters[i].numel(); ++j) {
        m[j] += 0.1F * (g[j] - m[j]);
        v[j] += 0.001F * (g[j] * g[j] - v[j]);
        p[j] -= scale * m[j] / (std::sqrt(v[j]) * root + 1e-8F);
      }
    }
    network->constrain();
  }
};

TrainingLoop::TrainingLoop(QuantizedNetwork* network, QuantizedNetwork* teacher, std::int64_t total_steps, TrainingOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->network = network;
  impl_->teacher = teacher;
  impl_->total_steps = total_steps;
  impl_->options = std::move(options);
  for (const auto& [name, tensor] : network->parameters()) {
    impl_->names.push_back(name);
    impl_->parameters.push_back(tensor);
    impl_->first_moment.push_back(torch::zeros_like(tensor.detach()).contiguous());
    impl_->second_moment.push_back(torch::zeros_like(tensor.detach()).contiguous());
  }
  if (impl_->options.paths.empty())
    for (std::size_t p = 0; p < network->paths().size(); ++p) impl_->options.paths.push_back(static_cast<int>(p));
  impl_->split_parameters();
}

TrainingLoop::~TrainingLoop() = default;

std::vector<double> TrainingLoop::step(const TrainingBatch& batch, const TrainingBatch& next) {
  Impl& self = *impl_;
  const std::vector<int>& trained = self.options.paths;
  const int paths = static_cast<int>(trained.size()), jobs = paths + self.options.random_paths;
  if (self.options.begin_step) self.options.begin_step(self.steps);
  Tensor soft;
  if (self.teacher) soft = self.prepared_for.is_same(batch.src) ? self.prepared : self.teach(batch.src);
  const ForwardMode mode;
  const Tensor stem = self.network->stem(batch.src, mode);
  std::vector<Tensor> leaves(jobs), scores(jobs);
  std::vector<torch::autograd::variable_list> gradients(jobs);
  std::vector<double> losses(jobs);
  for (int j = 0; j < jobs; ++j) leaves[j] = stem.detach().requires_grad_(true);
  const std::vector<FreePath> free = self.free_paths();
  std::vector<NormalizedOutputs> outputs = wanted_outputs(free, jobs, self.network->network().layer_count());
  auto forward_job = [&](int j) {
    if (scores[j].defined()) return;
    if (j < paths) {
      scores[j] = self.network->forward(trained[j], leaves[j], mode, &outputs[j]);
    } else {
      const FreePath& path = free[j - paths];
      scores[j] = self.network->forward_config(path.config, leaves[j], path.quantizers.get(), &outputs[j]);
    }
  };
  const Tensor target = self.targets(batch, soft);
  std::vector<Tensor> taught(jobs, target);
  if (!outputs[0].wanted.empty()) forward_job(0);  // the others need what it hands out
  if (self.options.teaching != Teaching::kTeacher) {
    // A path's own distribution can teach another only once it is known.
    const int teachers = self.options.teaching == Teaching::kFirst ? std::min(1, jobs - 1) : jobs - 1;
    for (int j = 0; j < teachers; ++j) {
      forward_job(j);
      taught[j + 1] = self.targets(batch, torch::softmax(scores[j].detach(), 1));
    }
    if (self.options.teaching == Teaching::kFirst)
      for (int j = 2; j < jobs; ++j) taught[j] = taught[1];
  }
  Tensor shares;
  auto backward_job = [&](int j) {
    const Tensor each = soft_cross_entropy(scores[j], taught[j]);
    Tensor loss = each.mean();
    losses[j] = loss.item<double>();
    if (shares.defined() && j < paths) loss = (each * shares[j]).mean() * paths;
    if (j < static_cast<int>(self.options.path_weights.size())) loss = loss * self.options.path_weights[j];
    if (j >= paths && !free[j - paths].imitated.empty()) loss = loss + self.options.imitation * distortion(outputs[j], outputs[0]);
    torch::autograd::variable_list inputs{leaves[j]};
    for (const std::size_t i : j < paths ? self.used_by[trained[j]] : self.all_but_stem) inputs.push_back(self.parameters[i]);
    gradients[j] = torch::autograd::grad({loss}, inputs, {}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
    scores[j] = Tensor();
    if (j > 0) outputs[j] = NormalizedOutputs();  // the first one's are still read by others
  };
  if (self.options.path_shares && self.steps >= self.options.shares_from) {
    // The shares need every path's scores, so all graphs live at once here.
    std::vector<std::function<void()>> looks;
    for (int j = 0; j < paths; ++j) looks.emplace_back([&forward_job, j] { forward_job(j); });
    run_jobs(looks, self.options.threads);
    shares = checked_shares(self.options.path_shares, self.steps, {scores.begin(), scores.begin() + paths}, batch.labels);
  }
  std::vector<std::function<void()>> work;
  for (int j = 0; j < jobs; ++j)
    work.emplace_back([&forward_job, &backward_job, j] {
      forward_job(j);
      backward_job(j);
    });
  Tensor prepared;
  if (self.teacher && next.src.defined()) work.emplace_back([&] { prepared = self.teach(next.src); });
  run_jobs(work, self.options.threads);
  self.prepared_for = next.src;
  self.prepared = prepared;

  for (int j = 0; j < jobs; ++j)
    if (!std::isfinite(losses[j]))
      throw Error(ExitCode::kBug, "the loss is not finite",
                  "step " + std::to_string(self.steps) + ", path " + (j < paths ? self.network->paths()[trained[j]].name : "random"),
                  "lower the learning rate; the last checkpoint is good");
  std::vector<Tensor> total(self.parameters.size());
  auto add = [&](std::size_t i, const Tensor& g) {
    if (!g.defined()) return;
    if (total[i].defined()) total[i] += g;
    else total[i] = g.clone();
  };
  Tensor stem_grad;
  for (int j = 0; j < jobs; ++j) {
    const std::vector<std::size_t>& indices = j < paths ? self.used_by[trained[j]] : self.all_but_stem;
    for (std::size_t k = 0; k < indices.size(); ++k) add(indices[k], gradients[j][k + 1]);
    if (!gradients[j][0].defined()) continue;
    stem_grad = stem_grad.defined() ? stem_grad.add_(gradients[j][0]) : gradients[j][0].clone();
  }
  torch::autograd::variable_list stem_inputs;
  for (const std::size_t i : self.stem_parameters) stem_inputs.push_back(self.parameters[i]);
  const auto stem_gradients = torch::autograd::grad({stem}, stem_inputs, {stem_grad}, false, false, true);
  for (std::size_t k = 0; k < self.stem_parameters.size(); ++k) add(self.stem_parameters[k], stem_gradients[k]);
  if (self.options.shape_gradients) self.options.shape_gradients(self.steps, self.network->parameters(), &total);
  self.update(total);
  return losses;
}

std::int64_t TrainingLoop::steps_done() const { return impl_->steps; }
double TrainingLoop::learning_rate() const {
  return one_cycle(impl_->options.learning_rate, impl_->options.warmup, std::max<std::int64_t>(0, impl_->steps - 1), impl_->total_steps);
}
void TrainingLoop::set_steps_done(std::int64_t steps) { impl_->steps = steps; }

NamedTensors TrainingLoop::state() const {
  NamedTensors list;
  for (std::size_t i = 0; i < impl_->names.size(); ++i) {
    list.emplace_back("adam.m." + impl_->names[i], impl_->first_moment[i]);
    list.emplace_back("adam.v." + impl_->names[i], impl_->second_moment[i]);
  }
  return list;
}

GradientHook clip_gradients(double limit) {
  return [limit](std::int64_t, const NamedTensors&, std::vector<Tensor>* gradients) {
    for (Tensor& gradient : *gradients)
      if (gradient.defined()) gradient.clamp_(-limit, limit);
  };
}

Tensor evaluate(QuantizedNetwork* network, int path, const Tensor& src) {
  torch::NoGradGuard guard;
  const ForwardMode mode{/*batch_statistics=*/false, /*momentum=*/0};
  return network->forward(path, network->stem(src, mode), mode);
}

BitConfig random_config(const Network& network, const BitSpace& space, const std::vector<PathSpec>& paths, std::uint64_t seed,
                        std::uint64_t index) {
  Random random(seed, "random path", index);
  // A trained path gives the widths (only those were ever nested); every adaptive layer draws its own bits.
  BitConfig config = paths[random.below(paths.size())].config;
  for (int l = 0; l < network.layer_count(); ++l) {
    if (space.layers[l].fixed) continue;
    const std::vector<int>& bits = space.layers[l].bits;
    config[l].weight = bits[random.below(bits.size())];
    config[l].activation = bits[random.below(bits.size())];
  }
  return config;
}

}  // namespace bitpilot
