// Steps of optimizers for Python: lists of addresses, one for each tensor. Where a learning rate or
// the numbers of steps stand on the device, their addresses are not 0.

#include <vector>

#include <pybind11/stl.h>

#include "bindings.h"
#include "kernels.h"

namespace tinygrad_ai::cuda {
namespace {

using Addresses = std::vector<Address>;
using Counts = std::vector<index>;

template <class... Lists> void check_lists(const Counts &counts, const Lists &...lists) {
  for (const std::size_t size : {lists.size()...})
    if (size != counts.size())
      refuse("expected lists of one length");
  for (const index count : counts)
    check_sizes({count});
}

template <class F> Status with_real(Dtype dtype, const F &f) {
  if (dtype == Dtype::float32)
    return f(Type<float>{});
  if (dtype == Dtype::float64)
    return f(Type<double>{});
  refuse("expected tensors of float32 or float64");
}

void add_adam(py::module_ &m) {
  m.def(
      "adam",
      [](Dtype dtype, const Addresses &p, const Addresses &g, const Addresses &mean,
         const Addresses &square, const Addresses &top, const Counts &counts,
         const std::vector<std::int64_t> &steps, const Addresses &steps_at, double lr,
         Address lr_at, double beta1, double beta2, double eps, double weight_decay, bool decoupled,
         Address stream) {
        check_lists(counts, p, g, mean, square, top, steps, steps_at);
        check(with_real(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          std::vector<AdamTensor<T>> list;
          for (std::size_t i = 0; i < counts.size(); ++i)
            list.push_back({at<T>(p[i]), at<const T>(g[i]), at<T>(mean[i]), at<T>(square[i]),
                            at<T>(top[i]), counts[i], steps[i],
                            at<const std::int64_t>(steps_at[i])});
          const AdamList<T> args{list.data(), static_cast<index>(list.size()),
                                 lr,          at<const double>(lr_at),
                                 beta1,       beta2,
                                 eps,         weight_decay,
                                 decoupled};
          return adam(args, stream_of(stream));
        }));
      },
      "One step of Adam; an address in v_max is 0 without AMSGrad.", "dtype"_a, "p"_a, "g"_a, "m"_a,
      "v"_a, "v_max"_a, "counts"_a, "steps"_a, "steps_at"_a, "lr"_a, "lr_at"_a, "beta1"_a,
      "beta2"_a, "eps"_a, "weight_decay"_a, "decoupled"_a, "stream"_a);
}

void add_sgd(py::module_ &m) {
  m.def(
      "sgd",
      [](Dtype dtype, const Addresses &p, const Addresses &g, const Addresses &velocity,
         const Counts &counts, const std::vector<bool> &first, double lr, Address lr_at,
         double momentum, double dampening, double weight_decay, bool nesterov, Address stream) {
        check_lists(counts, p, g, velocity, first);
        check(with_real(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          std::vector<SgdTensor<T>> list;
          for (std::size_t i = 0; i < counts.size(); ++i)
            list.push_back(
                {at<T>(p[i]), at<const T>(g[i]), at<T>(velocity[i]), counts[i], first[i]});
          const SgdList<T> args{list.data(),  static_cast<index>(list.size()),
                                lr,           at<const double>(lr_at),
                                momentum,     dampening,
                                weight_decay, nesterov};
          return sgd(args, stream_of(stream));
        }));
      },
      "One step of SGD; an address in velocity is 0 without momentum.", "dtype"_a, "p"_a, "g"_a,
      "velocity"_a, "counts"_a, "first"_a, "lr"_a, "lr_at"_a, "momentum"_a, "dampening"_a,
      "weight_decay"_a, "nesterov"_a, "stream"_a);
}

void add_rmsprop(py::module_ &m) {
  m.def(
      "rmsprop",
      [](Dtype dtype, const Addresses &p, const Addresses &g, const Addresses &square,
         const Addresses &mean, const Addresses &velocity, const Counts &counts, double lr,
         Address lr_at, double alpha, double eps, double weight_decay, double momentum,
         Address stream) {
        check_lists(counts, p, g, square, mean, velocity);
        check(with_real(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          std::vector<RmsPropTensor<T>> list;
          for (std::size_t i = 0; i < counts.size(); ++i)
            list.push_back({at<T>(p[i]), at<const T>(g[i]), at<T>(square[i]), at<T>(mean[i]),
                            at<T>(velocity[i]), counts[i]});
          const RmsPropList<T> args{list.data(),  static_cast<index>(list.size()),
                                    lr,           at<const double>(lr_at),
                                    alpha,        eps,
                                    weight_decay, momentum};
          return rmsprop(args, stream_of(stream));
        }));
      },
      "One step of RMSprop; addresses in mean and velocity are 0 where there is none.", "dtype"_a,
      "p"_a, "g"_a, "square"_a, "mean"_a, "velocity"_a, "counts"_a, "lr"_a, "lr_at"_a, "alpha"_a,
      "eps"_a, "weight_decay"_a, "momentum"_a, "stream"_a);
}

} // namespace

void add_optim(py::module_ &m) {
  add_adam(m);
  add_sgd(m);
  add_rmsprop(m);
}

} // namespace tinygrad_ai::cuda
