#include "runtime/commands/judge_loop.h"

#include <algorithm>
#include <thread>

#include "runtime/core/threads.h"

namespace bitpilot {

namespace {

std::vector<bool> live_ones(const std::vector<std::unique_ptr<Source>>& sources) {
  std::vector<bool> live;
  for (const auto& source : sources) live.push_back(source->live());
  return live;
}

}  // namespace

JudgeLoop::JudgeLoop(std::shared_ptr<const Model> model, const std::vector<std::unique_ptr<Source>>& sources,
                     const JudgeSettings& settings, JudgeListener& listener, Stop& stop)
    : model_(std::move(model)),
      sources_(sources),
      settings_(settings),
      listener_(listener),
      stop_(stop),
      queue_(live_ones(sources), settings.max_frames, stop) {
  if (!settings_.budget) return;
  table_ = budget_table(model_->data(), settings_.guard);
  if (!settings_.steady) budget_.emplace(table_, *settings_.budget);
}

void JudgeLoop::tell(const std::string& text) {
  const std::lock_guard lock(mutex_);
  listener_.message(text);
}

void JudgeLoop::fail(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  order_.abandon();
  stop_.request();
}

void JudgeLoop::read(std::size_t number) {
  Source& source = *sources_[number];
  while (true) {
    SourceEvent event = source.next();
    const bool skipped = event.kind == SourceEvent::Kind::kSkipped, failed = event.kind == SourceEvent::Kind::kFailed;
    if (event.kind == SourceEvent::Kind::kEnd) break;
    if (!event.text.empty() && !failed) tell(skipped ? "skipped: " + event.text : source.name() + ": " + event.text);
    if (event.kind == SourceEvent::Kind::kFrame && !queue_.push(number, std::move(event.frame))) break;
    const std::lock_guard lock(mutex_);
    if (skipped) ++counts_.dropped_decode;
    counts_.dropped_frozen += event.frozen;
    counts_.dropped_key_frame += event.before_key_frame;
    if (!failed) continue;
    if (failures_.empty()) failure_code_ = event.code;
    failures_.push_back(source.name() + ": " + event.text);
    break;
  }
  queue_.finish(number);
}

std::vector<std::optional<Region>> JudgeLoop::parts_of(const Image& picture) const {
  if (!settings_.region && !settings_.tile) return {std::nullopt};
  const Region whole{0, 0, picture.width, picture.height};
  const std::optional<Region> area = inside(settings_.region.value_or(whole), picture.width, picture.height);
  if (!area) return {};
  if (!settings_.tile) return {area};
  const std::vector<Region> tiles = tiles_of(*area, *settings_.tile);
  return {tiles.begin(), tiles.end()};
}

void JudgeLoop::judge(PictureJudge& judge, Ticket&& ticket) {
  const std::vector<std::optional<Region>> parts = parts_of(ticket.frame.image);
  if (parts.empty()) {
    order_.deliver(ticket.number, [this, number = ticket.number, name = ticket.frame.source] {
      const std::lock_guard lock(mutex_);
      if (budget_) budget_->pass(number);
      ++counts_.dropped_region;
      listener_.message("skipped: " + name + ": the region lies outside of it");
    });
    return;
  }
  const double lambda = budget_            ? budget_->lambda(ticket.number)
                        : settings_.budget ? lambda_for(table_, *settings_.budget, ticket.number)
                                           : settings_.lambda;
  const DecisionRule rule{settings_.fixed, lambda, settings_.guard};
  std::vector<JudgedPicture> judged;
  for (const std::optional<Region>& part : parts) {
    // A picture of many tiles must not hold a stop up: it then counts as queued.
    if (!judged.empty() && stop_.requested()) return order_.abandon();
    judged.push_back(judge.judge(ticket.frame, part, rule, settings_.features));
    judged.back().source = ticket.source;
    judged.back().part = judged.size() - 1;
    judged.back().parts = parts.size();
    ticket.frame.dropped_before = 0;  // they stand in the first part's record
  }
  order_.deliver(ticket.number, [this, number = ticket.number, judged = std::move(judged)] {
    const std::lock_guard lock(mutex_);
    ++counts_.processed;
    for (const JudgedPicture& part : judged) {
      if (budget_) budget_->add(number, part.decision.priced);
      listener_.judged(part);
    }
  });
}

void JudgeLoop::work() {
  PictureJudge picture_judge(model_);
  while (std::optional<Ticket> ticket = queue_.take()) {
    if (!order_.wait_for_room(ticket->number)) return;
    judge(picture_judge, std::move(*ticket));
  }
}

std::exception_ptr JudgeLoop::run() {
  const auto guarded = [this](auto&& action) {
    try {
      action();
    } catch (...) {
      fail(std::current_exception());
    }
  };
  std::vector<std::thread> readers, workers;
  guarded([&] {
    for (std::size_t i = 0; i < sources_.size(); ++i)
      readers.push_back(start_thread([this, i, guarded] { guarded([&] { read(i); }); }));
    for (int i = 0; i < settings_.threads; ++i)
      workers.push_back(start_thread([this, guarded] { guarded([&] { work(); }); }));
  });
  for (std::thread& worker : workers) worker.join();
  stop_.request();  // the readers too: max_frames may be reached while there is more to read
  for (std::thread& reader : readers) reader.join();
  return error_;
}

JudgeCounts JudgeLoop::counts() const {
  JudgeCounts counts = counts_;
  const FrameQueue::Counts queue = queue_.counts();
  counts.received = queue.received + counts.dropped_decode + counts.dropped_frozen + counts.dropped_key_frame;
  counts.dropped_queue = queue.dropped;
  // Waiting, or in the hands of a worker when something ended the loop.
  counts.queued = queue.received - queue.dropped - counts.dropped_region - counts.processed;
  return counts;
}

}  // namespace bitpilot
