"""The words of ``tunesmith.explaining.phrases`` in Chinese, for the Chinese guide."""

from __future__ import annotations

from collections.abc import Mapping

CHINESE: Mapping[str, str] = {
    # 考察的范围
    "greedy path": "1 条回答（模型逐词元取最可能者所得）的 {places} 个位置；精确计算，不做采样",
    "greedy paths": "{answers} 条回答（模型逐词元取最可能者所得）的 {places} 个位置；精确计算，不做采样",
    "reference path": "1 条回答（数据中的参考回答）的 {places} 个位置；精确计算，不做采样",
    "reference paths": "{answers} 条回答（数据中的参考回答）的 {places} 个位置；精确计算，不做采样",
    "answered anew": "{inputs} 条输入，每个取值各回答一次",
    "read once": "{inputs} 条输入，只读一次",
    "read anew": "{inputs} 条输入，每个取值重新读一次",
    # 各项数值的含义；图中标题到分号为止
    "entropy": "下一个词元的熵，均值，奈特",
    "nucleus": "可能出现的词元数，均值",
    "median": "可能出现的词元数，中位数",
    "cut": "被截去的概率，均值",
    "distance": "概率移动了多少（总变差），均值",
    "kl": "相对原分布的 KL 散度，奈特；均值；若原本不可能的词元变为可能，则为无穷，记为空",
    "flip": "最可能词元改变的位置",
    "path": "路径上词元的对数概率；对仍可能出现者取均值，奈特",
    "lost": "路径上的词元不再可能出现的位置",
    "tokens": "期望词元数；假设回答沿这条路径展开，并在每个位置以模型给出的结束概率结束",
    "ended": "到路径末尾为止已结束的概率；假设同上",
    "other answers": "与取值 {usual} 时不同的回答",
    "answer tokens": "回答的词元数，均值",
    "answer log p": "整条回答的对数概率；均值，奈特",
    "answered": "得到回答的输入",
    "given": "每条输入给出的结果数，均值",
    "changed": "与默认设置下不同的回答",
    "against labels": "对照标签的 {metric}",
    "score": "所给结果的得分，均值",
    "label share": "回答为“{label}”的输入",
    "without": "虚线：{name} {usual}",
    # 沿固定的回答
    "inert along": "{name} 在这里不起作用：{values} 个取值中，没有一个使 {places} 个位置上的任何分布不同于 {name} {usual} 时"
    "（最大差异 {largest:.1g}）。",
    "idle values": "取值为 {idle} 时毫无变化。",
    "flips nowhere": "{name} 在任何位置都不改变最可能的词元。",
    "flips": "{name} {value} 在 {places} 个位置中的 {flips} 个改变了最可能的词元。",
    "flips but": "{name} {value} 在 {places} 个位置中的 {flips} 个改变了最可能的词元；取值为 {never} 时一处也不改变。",
    "cuts": "{name} {value} 平均截去 {cut:.1f}% 的概率，留下 {left:,.1f} 个词元；截去最多的是第 {answer} 条回答的"
    "第 {token} 个词元，达 {most:.1f}%。",
    "entropy goes": "下一个词元的熵最低 {low:.3f} 奈特（取值 {at_low}），最高 {high:.3f}（取值 {at_high}）；{name} {usual} 时为 "
    "{before:.3f}。",
    "paths gone": "{name} {value} 时，{answers} 条回答中有 {gone} 条不可能给出：其中共有 {tokens} 个词元无法出现。",
    "length goes": "若回答沿路径展开、并按模型给出的概率结束，期望长度最短 {low:.1f} 个词元（取值 {at_low}），"
    "最长 {high:.1f} 个（取值 {at_high}）。",
    # 搜索与随机的回答
    "num_beams": "束搜索没有精确曲线：它给整条回答排序。",
    "length_penalty": "长度惩罚没有逐词元的精确曲线：它给已完成的束排序。对于 length_penalty 1 的搜索所完成的束，"
    "这一排序是精确的；换一个惩罚，也可能完成另一些束。",
    "early_stopping": "束搜索何时停止没有精确曲线：它给整条回答排序。",
    "seed": "随机种子没有曲线：哪一个都不比别的好，差别只是偶然。",
    "inert answers": "{name} 在这里不起作用：{values} 个取值给出的 {inputs} 条回答完全相同。",
    "changes answers": "与 {name} {usual} 相比，{name} {value} 改变了 {inputs} 条回答中的 {changed} 条。",
    # 重新决定
    "note": "{note}",
    "inert decided": "{name} 在这里不起作用：{values} 个取值都没有使 {inputs} 条回答中的任何一条在内容或得分上有所不同。",
    "moves scores": "{name} 不改变 {inputs} 条回答的内容；得分最多变动 {largest:.3g}。",
    "changes none": "{name} 取值为 {values} 时，一条也不改变。",
    "stays": "{metric} 在所有取值下都是 {score:.3f}。",
    "stays with withheld": "{metric}（把不予回答者也计算在内）在所有取值下都是 {score:.3f}。",
    "best": "{metric} 最好时为 {score:.3f}（95% 置信区间 {low:.3f} 至 {high:.3f}），取值为 {value}；取值为 {usual} 时是 {before:.3f}"
    "（{before_low:.3f} 至 {before_high:.3f}）。在同一批输入上从 {values} 个取值里挑出的最好者，看上去总比实际的好：请在另一批输入上验证。",
    "of answered": "取值为 {value} 时，{inputs} 条输入中有 {answered} 条得到回答，其中 {right:.0f}% 正确（95% 置信区间 {low:.0f}% 至 {high:.0f}%）。",
}
