"""Which tags of the US-GAAP taxonomy are which metric. The names changed over the years; the first one a filing uses counts."""

from __future__ import annotations

from dataclasses import dataclass

from mech_exo.datasource.accounts.metrics import FLOWS, STATEMENT


@dataclass(frozen=True, slots=True)
class Concept:
    """``tags`` of ``taxonomy`` in order of preference, reported in ``unit`` as EDGAR writes it."""

    metric: str
    tags: tuple[str, ...]
    unit: str = "USD"
    taxonomy: str = "us-gaap"

    @property
    def is_flow(self) -> bool:
        """Whether it covers a span of time."""
        return self.metric in FLOWS or self.metric == "average_shares"


CONCEPTS = (
    Concept(
        "revenue",
        (
            "Revenues",
            "RevenueFromContractWithCustomerExcludingAssessedTax",
            "SalesRevenueNet",
            "RevenueFromContractWithCustomerIncludingAssessedTax",
            "SalesRevenueGoodsNet",
            "SalesRevenueServicesNet",
            "RevenuesNetOfInterestExpense",
            "RealEstateRevenueNet",
            "ElectricUtilityRevenue",
            "OilAndGasRevenue",
        ),
    ),
    Concept("cost_of_revenue", ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold", "CostOfServices")),
    Concept("gross_profit", ("GrossProfit",)),
    Concept("operating_income", ("OperatingIncomeLoss",)),
    Concept("net_income", ("NetIncomeLoss", "NetIncomeLossAvailableToCommonStockholdersBasic", "ProfitLoss")),
    Concept("eps_diluted", ("EarningsPerShareDiluted", "EarningsPerShareBasicAndDiluted"), unit="USD/shares"),
    Concept(
        "operating_cash_flow",
        ("NetCashProvidedByUsedInOperatingActivities", "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations"),
    ),
    Concept(
        "capital_expenditure",
        (
            "PaymentsToAcquirePropertyPlantAndEquipment",
            "PaymentsToAcquireProductiveAssets",
            "PaymentsForCapitalImprovements",
        ),
    ),
    Concept(
        "depreciation",
        (
            "DepreciationDepletionAndAmortization",
            "DepreciationAmortizationAndAccretionNet",
            "DepreciationAndAmortization",
            "Depreciation",
        ),
    ),
    Concept("total_assets", ("Assets",)),
    Concept("current_assets", ("AssetsCurrent",)),
    Concept("current_liabilities", ("LiabilitiesCurrent",)),
    Concept("total_equity", ("StockholdersEquity", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest")),
    Concept(
        "cash",
        (
            "CashAndCashEquivalentsAtCarryingValue",
            "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents",
            "Cash",
        ),
    ),
    Concept("receivables", ("AccountsReceivableNetCurrent", "ReceivablesNetCurrent", "AccountsNotesAndLoansReceivableNetCurrent")),
    Concept("inventory", ("InventoryNet", "InventoryNetOfAllowancesCustomerAdvancesAndProgressBillings")),
    Concept(
        "average_shares",
        ("WeightedAverageNumberOfSharesOutstandingBasic", "WeightedAverageNumberOfShareOutstandingBasicAndDiluted"),
        "shares",
    ),
    Concept("shares_outstanding", ("EntityCommonStockSharesOutstanding",), "shares", "dei"),
    # The lines total debt is made of; see filings.total_debt. They are no metrics themselves, but for the first.
    Concept("long_term_debt", ("LongTermDebtNoncurrent", "LongTermDebtAndCapitalLeaseObligations", "LongTermNotesPayable")),
    Concept("_debt", ("DebtLongtermAndShorttermCombinedAmount",)),
    Concept("_debt_long", ("LongTermDebt",)),
    Concept("_debt_current", ("DebtCurrent",)),
    Concept("_debt_maturing", ("LongTermDebtCurrent", "LongTermDebtAndCapitalLeaseObligationsCurrent")),
    Concept("_debt_short", ("ShortTermBorrowings",)),
    Concept("_debt_paper", ("CommercialPaper",)),
    Concept("_debt_other", ("OtherShortTermBorrowings",)),
)

DEBT_LINES = ("_debt", "_debt_long", "_debt_current", "_debt_maturing", "_debt_short", "_debt_paper", "_debt_other")
UNITS = {**STATEMENT, "shares_outstanding": "shares"}
FORMS = r"^(10-K|10-KT|10-K405|10-Q|10-QT|20-F|40-F|8-K|6-K)(/A)?$"
"""Forms whose figures are statements: annual and quarterly reports, their amendments, and later recasts; not proxies and prospectuses."""
